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

# After these, sending the same again is no use. Every other end of a stream is followed by a new one.
FATAL = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.UNIMPLEMENTED,
}

# A rejection with one of these is a passing one.
PASSING = {grpc.StatusCode.UNAVAILABLE.value[0], grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]}


class Publisher:
    """Keeps each event until its ack.

    When the stream ends, what is not acked is sent again on the next one, in the same order and with the same idempotency
    keys: what the bridge already has, it does not take twice. Threads may share a publisher.

    window: how many events may wait for their ack.
    credentials: those of the connection (grpc.ssl_channel_credentials); None for one without TLS.
    token(): returns a token. Called for each stream, so that a new one follows one that has expired.
    on_rejected(event, rejection): called for an event that the bridge does not accept.
    on_reconnect(reason, delay_seconds): called before the publisher connects again.
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
        self._acked = 0
        self._unacked = collections.deque()  # the requests from number _acked to number _published - 1
        self._stream = 0  # counts up when a stream starts and when it is left: who holds an older number sends no more
        self._is_closing = False
        self._failure = None

        self._thread = threading.Thread(target=self._keep_connected, daemon=True)
        self._thread.start()

    def publish(self, event):
        """Takes an event; waits only while the window is full. Raises when the publisher has failed."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._unacked) < self._window or self._failure)
            if self._failure:
                raise self._failure
            if not event.idempotency_key:
                event.idempotency_key = f"{self._run}-{self._published}"
            self._unacked.append(publisher_pb2.PublishRequest(request_id=str(self._published), events=[event]))
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

    def _keep_connected(self):
        failures = 0
        while True:
            call, has_acked, retry_after = self._stream_to_its_end()
            with self._changed:
                if self._is_done():
                    return
                if call.code() in FATAL and not self._has_another_token(call):
                    self._failure = RuntimeError(f"Publish: {call.code().name}: {call.details()}")
                    self._changed.notify_all()
                    return
            failures = 0 if has_acked else failures + 1
            delay = max(retry_after, min(30, 0.1 * 2**failures) * random.uniform(0.5, 1.5))
            self._on_reconnect(f"{call.code().name} {call.details()}", delay)
            with self._changed:
                if self._changed.wait_for(self._is_done, timeout=delay):
                    return

    def _has_another_token(self, call):
        """A token that was refused, because it has expired or for another reason, is not tried again."""
        return call.code() == grpc.StatusCode.UNAUTHENTICATED and self._token() != self._shown_token

    def _is_done(self):
        return self._is_closing and not self._unacked

    def _stream_to_its_end(self):
        has_acked = False
        with self._changed:
            self._stream += 1
            requests = self._requests(self._stream)
        self._shown_token = self._token()
        metadata = [("authorization", f"Bearer {self._shown_token}")] if self._shown_token else []
        with self._channel() as channel:
            call = publisher_pb2_grpc.PublisherStub(channel).Publish(requests, metadata=metadata)
            try:
                for response in call:
                    for ack in response.acks:
                        passing = next((r for r in ack.rejected if r.code in PASSING), None)
                        if passing:
                            # Later it may be accepted: on the next stream, from this request on.
                            call.cancel()
                            return call, has_acked, passing.retry_after.ToTimedelta().total_seconds()
                        self._take(ack)
                        has_acked = True
                    if response.draining:
                        # Nothing more on this stream: it is read to its end, so that everything on it is acked before
                        # the next stream goes on.
                        self._leave_stream()
            except grpc.RpcError:
                pass  # the call tells its status
            finally:
                self._leave_stream()
        return call, has_acked, 0

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
        number = self._acked

        def is_over():
            return self._stream != stream or (self._is_closing and number == self._published)

        while True:
            with self._changed:
                self._changed.wait_for(lambda: is_over() or number < self._published)
                if is_over():
                    return
                request = self._unacked[number - self._acked]
            yield request
            number += 1

    def _take(self, ack):
        with self._changed:
            request = self._unacked.popleft()  # acks come in the order of the requests
            self._acked += 1
            self.last_id = ack.last_id or self.last_id
            self._changed.notify_all()
        for rejection in ack.rejected:
            self._on_rejected(request.events[rejection.index], rejection)
