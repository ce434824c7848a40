// Command go publishes the lines of standard input: topic<TAB>type<TAB>data.
package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"grpc-sse-bridge/examples/go/bridgev1"
	"grpc-sse-bridge/examples/go/publisher"
)

//go:generate sh generate.sh

func main() {
	log.SetFlags(0)
	address := "127.0.0.1:9090"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	if err := run(address); err != nil {
		log.Fatal(err)
	}
}

func run(address string) error {
	ctx := context.Background()
	published, rejected := 0, 0
	p := publisher.New(address, publisher.Options{
		OnRejected: func(event *bridgev1.Event, rejection *bridgev1.Rejection) {
			rejected++
			log.Printf("rejected (code %d): %s: %s", rejection.GetCode(), event.GetTopic(), rejection.GetMessage())
		},
		OnReconnect: func(reason error, delay time.Duration) {
			log.Printf("%s: %v; again in %v", address, reason, delay.Round(time.Millisecond))
		},
	})
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		topic, rest, _ := strings.Cut(lines.Text(), "\t")
		eventType, data, _ := strings.Cut(rest, "\t")
		event := &bridgev1.Event{Topic: topic, Type: eventType, Payload: &bridgev1.Event_Text{Text: data}}
		if err := p.Publish(ctx, event); err != nil {
			return err
		}
		published++
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if err := p.Close(); err != nil {
		return err
	}
	fmt.Printf("%d published, %d rejected, last id %s\n", published, rejected, p.LastID())
	return nil
}
