"""Publishes events on one long-lived stream, in order, none lost and none twice."""

import collections
import random
import threading
import uuid

import grpc

from bridge.v1 import publisher_pb2, publisher_pb2_grpc

CHANNEL_OPTIONS = [
    # Each stream gets a connection of its own, so that a load balancer may send it to another replica.
    ("grpc.use_local_subchannel_pool", 1),
    # Notices a bridge that vanished without a word.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
]

# A larger event is refused. Well below the bridge's grpc.max_request_bytes.
EVENT_BYTES_MAX = 1 << 20

# After these, sending the same again is no use. Every other end of a stream is followed by a new one.
FATAL = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.UNIMPLEMENTED,
}

# A rejection with one of these is a passing one.
PASSING = {grpc.StatusCode.UNAVAILABLE.value[0], grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]}

# What became of one stream.
End = collections.namedtuple("End", "code details has_acked retry_after")


class Publisher:
    """Keeps each event until its ack.

    When the stream ends, what is not acked is sent again on the next one, in the same order and with the same idempotency
    keys: what the bridge already has, it does not take twice. Ephemeral events, which have no key, are sent once. Threads
    may share a publisher.

    window: how many events may wait for their ack.
    credentials: those of the connection (grpc.ssl_channel_credentials); None for one without TLS.
    token(): returns a token. Called for each stream, so that a new one follows one that has expired. Where it raises, it
        is asked again later.
    on_rejected(event, rejection): called for an event that the bridge does not accept.
    on_reconnect(reason, delay_seconds): called before the publisher connects again.

    What on_rejected and on_reconnect raise ends the publisher: publish and close raise it.
    """

    def __init__(self, address, *, window=1000, credentials=None, token=None, on_rejected=None, on_reconnect=None):
        self.last_id = ""
        self._address = address
        self._window = window
        self._credentials = credentials
        self._token = token or (lambda: None)
        self._shown_token = None
        self._on_rejected = on_rejected or (lambda event, rejection: None)
        self._on_reconnect = on_reconnect or (lambda reason, delay: None)
        self._run = uuid.uuid4()

        self._changed = threading.Condition()  # guards all of the following
        self._published = 0
        self._unacked = collections.deque()  # the requests without an ack
        self._sent = 0  # how many of them were sent on the present stream: the first ones
        self._stream = 0  # counts up when a stream starts and when it is left: who holds an older number sends no more
        self._is_closing = False
        self._failure = None

        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def publish(self, event):
        """Takes a copy of an event; waits only while the window is full.

        Raises ValueError for an event that is too large, RuntimeError when the publisher is closed, and why it has failed.
        """
        if event.ByteSize() > EVENT_BYTES_MAX:
            raise ValueError(f"event on {event.topic!r}: {event.ByteSize()} bytes; at most {EVENT_BYTES_MAX}")
        request = publisher_pb2.PublishRequest(events=[event])
        with self._changed:
            self._changed.wait_for(lambda: len(self._unacked) < self._window or self._is_closing or self._failure)
            if self._failure:
                raise self._failure
            if self._is_closing:
                raise RuntimeError("the publisher is closed")
            request.request_id = str(self._published)
            if not event.idempotency_key and not event.ephemeral:
                request.events[0].idempotency_key = f"{self._run}-{self._published}"
            self._unacked.append(request)
            self._published += 1
            self._changed.notify_all()

    def close(self):
        """Waits for the ack of everything that was published."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join()
        if self._failure:
            raise self._failure

    def _work(self):
        try:
            self._keep_connected()
        except BaseException as error:  # nobody else would hear of it
            with self._changed:
                self._failure = error
                self._changed.notify_all()

    def _keep_connected(self):
        failures = 0
        while True:
            end = self._stream_to_its_end()
            with self._changed:
                self._drop_sent_ephemeral()
                if self._is_done():
                    return
            if end.code in FATAL and not self._may_have_another_token(end.code):
                raise RuntimeError(f"Publish: {end.code.name}: {end.details}")
            # RESOURCE_EXHAUSTED may be about what was sent, which is sent again.
            was_good = end.has_acked and end.code != grpc.StatusCode.RESOURCE_EXHAUSTED
            failures = 0 if was_good else min(failures + 1, 10)
            delay = max(end.retry_after, min(30, 0.1 * 2**failures) * random.uniform(0.5, 1.5))
            self._on_reconnect(f"{end.code.name} {end.details}", delay)
            with self._changed:
                if self._changed.wait_for(self._is_done, timeout=delay):
                    return

    def _may_have_another_token(self, code):
        """A token that was refused, because it has expired or for another reason, is not tried again."""
        if code != grpc.StatusCode.UNAUTHENTICATED:
            return False
        try:
            return self._token() != self._shown_token
        except Exception:
            return True

    def _is_done(self):
        return self._is_closing and not self._unacked

    def _drop_sent_ephemeral(self):
        """What was sent on the stream that has ended is sent again, but for what is to be delivered at most once."""
        requests = enumerate(self._unacked)
        self._unacked = collections.deque(each for number, each in requests if number >= self._sent or not each.events[0].ephemeral)
        self._sent = 0
        self._changed.notify_all()

    def _stream_to_its_end(self):
        try:
            self._shown_token = self._token()
        except Exception as error:  # as a bridge that is away
            return End(grpc.StatusCode.UNAVAILABLE, f"no token: {error!r}", has_acked=False, retry_after=0)
        metadata = [("authorization", f"Bearer {self._shown_token}")] if self._shown_token else []
        has_acked = False
        with self._changed:
            self._stream += 1
            requests = self._requests(self._stream)
        with self._channel() as channel:
            call = publisher_pb2_grpc.PublisherStub(channel).Publish(requests, metadata=metadata)
            try:
                for response in call:
                    for ack in response.acks:
                        passing = next((r for r in ack.rejected if r.code in PASSING), None)
                        if passing:
                            # Later it may be accepted: on the next stream, from this request on.
                            call.cancel()
                            retry_after = passing.retry_after.ToTimedelta().total_seconds()
                            return End(grpc.StatusCode.UNAVAILABLE, f"rejected: {passing.message}", has_acked, retry_after)
                        self._take(ack)
                        has_acked = True
                    if response.draining:
                        # Nothing more on this stream: it is read to its end, so that everything on it is acked before
                        # the next stream goes on.
                        self._leave_stream()
                return End(call.code(), call.details(), has_acked, retry_after=0)
            except grpc.RpcError as error:
                error.__traceback__ = None
                return End(error.code(), error.details(), has_acked, retry_after=0)
            finally:
                self._leave_stream()
                # A call that is collected while Python exits may hang for ever: no traceback of an error keeps this one.
                del call

    def _channel(self):
        if self._credentials:
            return grpc.secure_channel(self._address, self._credentials, CHANNEL_OPTIONS)
        return grpc.insecure_channel(self._address, CHANNEL_OPTIONS)

    def _leave_stream(self):
        with self._changed:
            self._stream += 1
            self._changed.notify_all()

    def _requests(self, stream):
        """What is sent on a stream: all that is not acked, then each new request, until the stream is left."""

        def is_over():
            return self._stream != stream or (self._is_closing and self._sent == len(self._unacked))

        while True:
            with self._changed:
                self._changed.wait_for(lambda: is_over() or self._sent < len(self._unacked))
                if is_over():
                    return
                request = self._unacked[self._sent]
                self._sent += 1
            yield request

    def _take(self, ack):
        with self._changed:
            request = self._unacked.popleft()  # acks come in the order of the requests
            self._sent -= 1
            self.last_id = ack.last_id or self.last_id
            self._changed.notify_all()
        for rejection in ack.rejected:
            self._on_rejected(request.events[rejection.index], rejection)
