// Command driver is examples/go/publisher, told what to do by lines of JSON: see ../publishing.mjs.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"
	"strconv"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"grpc-sse-bridge/examples/go/bridgev1"
	"grpc-sse-bridge/examples/go/publisher"
)

var output sync.Mutex

func say(what map[string]any) {
	output.Lock()
	defer output.Unlock()
	_ = json.NewEncoder(os.Stdout).Encode(what)
}

// tokens gives one after the other, and the last one for ever; "!" is an error.
func tokens() func() (string, error) {
	var all []string
	if err := json.Unmarshal([]byte(os.Getenv("TOKENS")), &all); err != nil {
		all = []string{""}
	}
	return func() (string, error) {
		current := all[0]
		if len(all) > 1 {
			all = all[1:]
		}
		if current == "!" {
			return "", errors.New("there is no token now")
		}
		return current, nil
	}
}

func publish(p *publisher.Publisher, encoded []byte, times int) {
	event := &bridgev1.Event{}
	err := protojson.Unmarshal(encoded, event)
	for count := 0; count < times && err == nil; count++ {
		err = p.Publish(context.Background(), event)
	}
	if err != nil {
		say(map[string]any{"published": false, "error": err.Error()})
	} else {
		say(map[string]any{"published": true})
	}
}

func main() {
	window, _ := strconv.Atoi(os.Getenv("WINDOW"))
	p := publisher.New(os.Args[1], publisher.Options{
		Window: window,
		Token:  tokens(),
		OnRejected: func(_ *bridgev1.Event, rejection *bridgev1.Rejection) {
			say(map[string]any{"rejected": rejection.GetMessage()})
		},
		OnReconnect: func(reason error, _ time.Duration) { say(map[string]any{"reconnect": reason.Error()}) },
	})
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 8<<20)
	for lines.Scan() {
		var told struct {
			Publish json.RawMessage
			Times   int
			Waits   bool
		}
		if err := json.Unmarshal(lines.Bytes(), &told); err != nil {
			log.Fatal(err)
		}
		switch {
		case told.Publish == nil:
			if err := p.Close(); err != nil {
				log.Fatal(err)
			}
			say(map[string]any{"closed": true})
		case told.Waits:
			go publish(p, told.Publish, max(told.Times, 1))
		default:
			publish(p, told.Publish, max(told.Times, 1))
		}
	}
}
