// Command go publishes the lines of standard input: topic<TAB>type<TAB>data.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc/credentials"

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

// token is what BRIDGE_TOKEN_FILE has now, "" where it is not set.
func token() (string, error) {
	path := os.Getenv("BRIDGE_TOKEN_FILE")
	if path == "" {
		return "", nil
	}
	content, err := os.ReadFile(path)
	return strings.TrimSpace(string(content)), err
}

// transportCredentials are TLS where BRIDGE_CA_FILE is set, with the client's own certificate where
// BRIDGE_CERTIFICATE_FILE and BRIDGE_KEY_FILE are.
func transportCredentials() (credentials.TransportCredentials, error) {
	path := os.Getenv("BRIDGE_CA_FILE")
	if path == "" {
		return nil, nil
	}
	ca, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AppendCertsFromPEM(ca)
	if own := os.Getenv("BRIDGE_CERTIFICATE_FILE"); own != "" {
		pair, err := tls.LoadX509KeyPair(own, os.Getenv("BRIDGE_KEY_FILE"))
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return credentials.NewTLS(config), nil
}

func run(address string) error {
	ctx := context.Background()
	connection, err := transportCredentials()
	if err != nil {
		return err
	}
	published, rejected := 0, 0
	p := publisher.New(address, publisher.Options{
		Credentials: connection,
		Token:       token,
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
			return errors.Join(err, p.Close()) // what came before it is published
		}
		published++
	}
	if err := lines.Err(); err != nil {
		return errors.Join(err, p.Close())
	}
	if err := p.Close(); err != nil {
		return err
	}
	fmt.Printf("%d published, %d rejected, last id %s\n", published, rejected, p.LastID())
	return nil
}
