// Package publisher publishes events to a bridge on one long-lived stream, in order, none lost and none twice.
package publisher

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"grpc-sse-bridge/examples/go/bridgev1"
)

// EventBytesMax is the size of the largest event that Publish takes, well below the bridge's grpc.max_request_bytes.
const EventBytesMax = 1 << 20

// ErrClosed is what Publish returns after Close.
var ErrClosed = errors.New("publish: the publisher is closed")

// Options are those of New. All may be left out.
type Options struct {
	// Window is how many events may wait for their ack. Default: 1,000.
	Window int
	// Credentials are those of the connection, TLS with or without a certificate of the client's own. Default: no TLS.
	Credentials credentials.TransportCredentials
	// Token returns a token. It is called for each stream, so that a new one follows one that has expired, and later
	// again where it returns an error.
	Token func() (string, error)
	// OnRejected is called for an event that the bridge does not accept, OnReconnect before the publisher connects
	// again. Both are called on the publisher's goroutine.
	OnRejected  func(*bridgev1.Event, *bridgev1.Rejection)
	OnReconnect func(reason error, delay time.Duration)
}

// Publisher keeps each event until its ack.
//
// When the stream ends, what is not acked is sent again on the next one, in the same order and with the same
// idempotency keys: what the bridge already has, it does not take twice. Ephemeral events, which have no key, are sent once.
type Publisher struct {
	address string
	options Options
	events  chan *bridgev1.Event
	closing chan struct{} // closed by Close
	close   sync.Once
	ended   chan struct{} // closed when keepConnected returns
	err     error         // read after ended

	// Of the goroutine of keepConnected.
	run        string // makes the idempotency keys of this publisher its own
	published  int
	unacked    []*bridgev1.PublishRequest
	shownToken string
	lastID     string
}

// New starts a publisher. Close ends it.
func New(address string, options Options) *Publisher {
	if options.Window == 0 {
		options.Window = 1000
	}
	if options.Credentials == nil {
		options.Credentials = insecure.NewCredentials()
	}
	if options.OnRejected == nil {
		options.OnRejected = func(*bridgev1.Event, *bridgev1.Rejection) {}
	}
	if options.OnReconnect == nil {
		options.OnReconnect = func(error, time.Duration) {}
	}
	p := &Publisher{
		address: address,
		options: options,
		events:  make(chan *bridgev1.Event),
		closing: make(chan struct{}),
		ended:   make(chan struct{}),
		run:     rand.Text(),
	}
	go func() {
		defer close(p.ended)
		p.err = p.keepConnected()
	}()
	return p
}

// Publish takes a copy of an event; it waits while the window is full or no stream is open. It returns an error for an
// event that cannot be sent: one that is larger than EventBytesMax, or has a string that is not UTF-8. Any goroutine may
// call it.
func (p *Publisher) Publish(ctx context.Context, event *bridgev1.Event) error {
	encoded, err := proto.Marshal(event)
	if err != nil {
		return fmt.Errorf("publish: event on %q: %w", event.GetTopic(), err)
	}
	if len(encoded) > EventBytesMax {
		return fmt.Errorf("publish: event on %q: %d bytes; at most %d", event.GetTopic(), len(encoded), EventBytesMax)
	}
	if p.isClosing() {
		return ErrClosed
	}
	select {
	case p.events <- proto.CloneOf(event):
		return nil
	case <-p.closing:
		return ErrClosed
	case <-p.ended:
		return cmp.Or(p.err, ErrClosed)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close waits for the ack of everything that was published.
func (p *Publisher) Close() error {
	p.close.Do(func() { close(p.closing) })
	<-p.ended
	return p.err
}

// LastID returns the id of the newest event that was acked. To be called after Close.
func (p *Publisher) LastID() string { return p.lastID }

func (p *Publisher) keepConnected() error {
	for failures := 0; ; failures++ {
		end := p.streamToItsEnd()
		// What was sent is sent again, but for what is to be delivered at most once.
		p.unacked = slices.DeleteFunc(p.unacked, func(request *bridgev1.PublishRequest) bool {
			return request.GetEvents()[0].GetEphemeral()
		})
		if p.isDone() {
			return nil
		}
		code := status.Code(end.reason)
		switch code {
		// Sending the same again is no use. Every other end of a stream is followed by a new one.
		case codes.InvalidArgument, codes.PermissionDenied, codes.Unimplemented:
			return fmt.Errorf("publish: %w", end.reason)
		case codes.Unauthenticated:
			// A token that was refused, because it has expired or for another reason, is not tried again.
			if token, err := p.token(); err == nil && token == p.shownToken {
				return fmt.Errorf("publish: %w", end.reason)
			}
		}
		// ResourceExhausted may be about what was sent, which is sent again.
		if end.hasAcked && code != codes.ResourceExhausted {
			failures = 0
		}
		backoff := min(30*time.Second, 100*time.Millisecond<<min(failures, 10))
		delay := max(end.retryAfter, time.Duration(float64(backoff)*(0.5+mathrand.Float64())))
		p.options.OnReconnect(end.reason, delay)
		p.wait(delay)
		if p.isDone() {
			return nil
		}
	}
}

func (p *Publisher) isClosing() bool {
	select {
	case <-p.closing:
		return true
	default:
		return false
	}
}

func (p *Publisher) isDone() bool { return len(p.unacked) == 0 && p.isClosing() }

// wait returns after a while, and at Close where there is nothing to be sent again.
func (p *Publisher) wait(delay time.Duration) {
	closing := p.closing
	if len(p.unacked) > 0 {
		closing = nil
	}
	select {
	case <-time.After(delay):
	case <-closing:
	}
}

func (p *Publisher) token() (string, error) {
	if p.options.Token == nil {
		return "", nil
	}
	return p.options.Token()
}

// streamEnd is what became of one stream.
type streamEnd struct {
	reason     error
	hasAcked   bool
	retryAfter time.Duration
}

func (p *Publisher) streamToItsEnd() streamEnd {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	token, err := p.token()
	if err != nil {
		return streamEnd{reason: status.Error(codes.Unavailable, err.Error())}
	}
	p.shownToken = token
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	// Each stream gets a connection of its own, so that a load balancer may send it to another replica. The keepalive
	// notices a bridge that vanished without a word.
	connection, err := grpc.NewClient(p.address,
		grpc.WithTransportCredentials(p.options.Credentials),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}))
	if err != nil {
		return streamEnd{reason: status.Error(codes.InvalidArgument, err.Error())}
	}
	defer connection.Close()
	stream, err := bridgev1.NewPublisherClient(connection).Publish(ctx)
	if err != nil {
		return streamEnd{reason: err}
	}
	responses, reason := p.receive(stream)

	// An error of Send is the end of the stream, and receive tells the reason.
	for _, request := range p.unacked {
		_ = stream.Send(request)
	}
	events := p.events
	closing := p.closing
	stopSending := func() {
		events, closing = nil, nil
		_ = stream.CloseSend()
	}
	var end streamEnd
	for {
		accepting := events
		if len(p.unacked) >= p.options.Window {
			accepting = nil
		}
		select {
		case <-closing:
			stopSending()
		case event := <-accepting:
			request := p.newRequest(event)
			p.unacked = append(p.unacked, request)
			_ = stream.Send(request)
		case response, ok := <-responses:
			if !ok {
				end.reason = *reason
				return end
			}
			for _, ack := range response.GetAcks() {
				if passing := passingRejection(ack); passing != nil {
					// Later it may be accepted: on the next stream, from this request on.
					end.reason = fmt.Errorf("rejected (code %d): %s", passing.GetCode(), passing.GetMessage())
					end.retryAfter = passing.GetRetryAfter().AsDuration()
					return end
				}
				p.take(ack)
				end.hasAcked = true
			}
			if response.GetDraining() && closing != nil {
				// Nothing more on this stream: it is read to its end, so that everything on it is acked before the next
				// stream goes on.
				stopSending()
			}
		}
	}
}

// receive reads a stream to its end; then it sets the reason and closes the channel. The channel has room for every ack
// that can be owed: the bridge reads no more from a publisher that does not read its acks, and so a Send could wait for ever.
func (p *Publisher) receive(stream grpc.BidiStreamingClient[bridgev1.PublishRequest, bridgev1.PublishResponse]) (
	<-chan *bridgev1.PublishResponse, *error) {
	responses := make(chan *bridgev1.PublishResponse, p.options.Window+1)
	var reason error
	go func() {
		defer close(responses)
		for {
			response, err := stream.Recv()
			if err != nil {
				reason = err
				return
			}
			responses <- response
		}
	}()
	return responses, &reason
}

func (p *Publisher) newRequest(event *bridgev1.Event) *bridgev1.PublishRequest {
	p.published++
	number := strconv.Itoa(p.published)
	if event.IdempotencyKey == "" && !event.Ephemeral {
		event.IdempotencyKey = p.run + "-" + number
	}
	return &bridgev1.PublishRequest{RequestId: number, Events: []*bridgev1.Event{event}}
}

// take drops the oldest request: acks come in the order of the requests.
func (p *Publisher) take(ack *bridgev1.Ack) {
	request := p.unacked[0]
	p.unacked = p.unacked[1:]
	if ack.GetLastId() != "" {
		p.lastID = ack.GetLastId()
	}
	for _, rejection := range ack.GetRejected() {
		p.options.OnRejected(request.GetEvents()[rejection.GetIndex()], rejection)
	}
}

func passingRejection(ack *bridgev1.Ack) *bridgev1.Rejection {
	for _, rejection := range ack.GetRejected() {
		switch codes.Code(rejection.GetCode()) {
		case codes.Unavailable, codes.ResourceExhausted:
			return rejection
		}
	}
	return nil
}
