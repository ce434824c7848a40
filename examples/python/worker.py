"""Answers calls: what browsers ask by POST /calls/NAME. Over broken streams, and from one replica to the next, no event is lost and none twice."""

import collections
import random
import threading
import uuid

import grpc
from google.protobuf import struct_pb2

from bridge.v1 import publisher_pb2, publisher_pb2_grpc
from publisher import CHANNEL_OPTIONS

# Events of an answer that may wait for their ack; with more, its handler waits.
WINDOW = 100
# Of one request.
EVENTS_MAX = 1000
BYTES_MAX = 1 << 20

# The pause before the next stream, in seconds: doubled for each that served nothing. Well below the bridge's calls.worker_grace.
BACKOFF_MIN = 0.1
BACKOFF_MAX = 2

ABORTED = grpc.StatusCode.ABORTED.value[0]
CANCELLED = grpc.StatusCode.CANCELLED.value[0]
INTERNAL = grpc.StatusCode.INTERNAL.value[0]
NOT_FOUND = grpc.StatusCode.NOT_FOUND.value[0]
OUT_OF_RANGE = grpc.StatusCode.OUT_OF_RANGE.value[0]
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE.value[0]


class Failure(Exception):
    """What a handler raises when it cannot answer. With UNAVAILABLE, and before any event, another worker is to try."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code.value[0]


class Call:
    """A call that this worker has, and what it has answered.

    call_id, attempt, name, body, content_type, subject, metadata: as in bridge.v1.Call.
    """

    def __init__(self, call, stream, changed):
        self.call_id = call.call_id
        self.attempt = call.attempt
        self.name = call.name
        self.body = call.body
        self.content_type = call.content_type
        self.subject = call.subject
        self.metadata = dict(call.metadata)

        self._changed = changed  # guards all of the following
        self._is_cancelled = False
        self._on_cancel = None
        self._unacked = collections.deque()  # the events from number _acked on
        self._acked = 0
        # The stream on which the bridge takes updates of this call, because it has given or acked it there, and the number of the event that is
        # sent there next.
        self._stream = stream
        self._sent = 0
        self._end = None  # set when the handler has returned
        self._end_request = None  # in which the end was sent: its ack says that the log has the whole answer
        self._refusal = None  # why the bridge does not take the rest

    @property
    def is_cancelled(self):
        with self._changed:
            return self._is_cancelled

    def send(self, event):
        """Adds an event (its topic and key unset), and waits while many have no ack. False: nobody wants the rest."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_cancelled or len(self._unacked) < WINDOW)
            if self._is_cancelled:
                return False
            self._unacked.append(event)
            self._changed.notify_all()
            return True

    def wait_cancelled(self, seconds):
        """Waits, and says whether the rest of the answer is not wanted any more: then at once."""
        with self._changed:
            return self._changed.wait_for(lambda: self._is_cancelled, timeout=seconds)

    def on_cancel(self, action):
        """Has `action` called when the rest is not wanted any more, at once where that is so. It must not block."""
        with self._changed:
            self._on_cancel = action
            if not self._is_cancelled:
                return
        action()

    # What follows is the worker's, which holds _changed.

    def _cancel(self):
        if not self._is_cancelled:
            self._is_cancelled = True
            if self._on_cancel:
                self._on_cancel()

    def _rewind(self):
        self._sent = self._acked
        self._end_request = None

    def _next_index(self):
        return self._acked + len(self._unacked)

    def _next_update(self, stream, request_id, room):
        """What there is to send on this stream, None for nothing. `room`: how many events and bytes."""
        events_left, bytes_left = room
        is_end_due = self._end is not None and self._end_request is None
        has_events = self._sent < self._next_index()
        if self._stream is not stream or not (has_events or is_end_due) or (has_events and (events_left <= 0 or bytes_left <= 0)):
            return None
        update = publisher_pb2.CallUpdate(call_id=self.call_id, attempt=self.attempt, first_index=self._sent)
        while self._sent < self._next_index() and len(update.events) < events_left and bytes_left > 0:
            event = self._unacked[self._sent - self._acked]
            bytes_left -= event.ByteSize()
            update.events.append(event)
            self._sent += 1
        if is_end_due and self._sent == self._next_index():
            update.end.CopyFrom(self._end)
            if self._refusal:
                update.end.code, update.end.message = self._refusal
            self._end_request = request_id
        return update


class _Stream:
    def __init__(self, number):
        self.number = number
        self.rpc = None
        self.is_serve_due = True
        self.is_serving = False
        self.is_draining = False
        self.is_left = False  # half-closed
        self.is_done = False


class Worker:
    """Answers calls on one long-lived stream; on two while it moves to another replica.

    handlers: by a call's name, what answers it: handler(call), on a thread of its own, sends events and returns the usage as a dict, or None. It
    returns soon after call.send has returned False or call.wait_cancelled True.
    max_concurrent: the calls that it has at a time.
    credentials: those of the connection (grpc.ssl_channel_credentials); None for one without TLS.
    token(): returns a token, and is called for each stream.
    on_reconnect(reason, delay_seconds): called before the worker connects again.
    on_rejected(name, message): the bridge does not let this worker serve a name.
    """

    def __init__(self, address, handlers, *, max_concurrent=8, credentials=None, token=None, on_reconnect=None, on_rejected=None):
        self._address = address
        self._handlers = handlers
        self._names = list(handlers)
        self._max_concurrent = max_concurrent
        self._credentials = credentials
        self._token = token or (lambda: None)
        self._on_reconnect = on_reconnect or (lambda reason, delay: None)
        self._on_rejected = on_rejected or (lambda name, message: None)
        # The same on each stream: by it the bridge knows that a worker has come back.
        self._worker_id = str(uuid.uuid4())

        self._changed = threading.Condition(threading.RLock())  # guards all of the following
        self._calls = {}  # by id and attempt; those of which the log does not have all
        self._streams = []  # that are open, the newest last
        self._is_closing = False

        self._thread = threading.Thread(target=self._keep_connected, daemon=True)
        self._thread.start()

    def close(self, timeout=None):
        """Takes no more calls, and waits until those that it has are answered. False when that took too long."""
        with self._changed:
            self._is_closing = True
            for stream in self._streams:
                stream.is_serve_due = True
            self._changed.notify_all()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _is_finished(self):
        return self._is_closing and not self._calls

    def _keep_connected(self):
        delay = BACKOFF_MIN
        number = 0
        while True:
            number += 1
            stream = _Stream(number)
            reader = threading.Thread(target=self._read, args=(stream,), daemon=True)
            with self._changed:
                self._streams.append(stream)
            reader.start()
            with self._changed:
                self._changed.wait_for(lambda: stream.is_done or stream.is_draining)
                # ABORTED: another process has the same worker_id.
                was_good = stream.is_serving and not stream.is_draining and stream.rpc.code() != grpc.StatusCode.ABORTED
                delay = BACKOFF_MIN if was_good else min(2 * delay, BACKOFF_MAX)
                jittered = delay * random.uniform(0.5, 1)
                if stream.is_done and not self._is_finished():
                    self._on_reconnect(f"{stream.rpc.code().name} {stream.rpc.details()}", jittered)
                if self._changed.wait_for(self._is_finished, timeout=jittered):
                    break
        with self._changed:
            self._changed.wait_for(lambda: not self._streams)

    def _read(self, stream):
        token = self._token()
        metadata = [("authorization", f"Bearer {token}")] if token else []
        with self._channel() as channel:
            rpc = publisher_pb2_grpc.PublisherStub(channel).Publish(self._requests(stream), metadata=metadata)
            stream.rpc = rpc
            try:
                for response in rpc:
                    with self._changed:
                        self._take(stream, response)
                        self._changed.notify_all()
            except grpc.RpcError:
                pass  # the call tells its status
            rpc.code()  # waits for it
            with self._changed:
                self._streams.remove(stream)
                stream.is_done = True
                if self._streams and any(call._stream is stream for call in self._calls.values()):
                    # The newest stream may not know of calls that this one was given last.
                    self._streams[-1].is_serve_due = True
                self._changed.notify_all()

    def _channel(self):
        if self._credentials:
            return grpc.secure_channel(self._address, self._credentials, CHANNEL_OPTIONS)
        return grpc.insecure_channel(self._address, CHANNEL_OPTIONS)

    def _requests(self, stream):
        """What is sent on a stream, until it is over."""
        for number in range(1, 1 << 62):
            with self._changed:
                request = None
                while not request:
                    if stream.is_done:
                        return
                    request = self._next_request(stream, str(number))
                    if not request:
                        if self._is_over(stream):
                            stream.is_left = True
                            return
                        self._changed.wait()
            yield request

    def _is_over(self, stream):
        """Nothing more is sent on it: the worker ends, or all calls have moved to a newer stream."""
        newest = self._streams[-1]
        has_moved = stream.is_draining and newest is not stream and newest.is_serving
        return self._is_finished() or (has_moved and all(call._stream is not stream for call in self._calls.values()))

    def _next_request(self, stream, request_id):
        request = publisher_pb2.PublishRequest(request_id=request_id)
        if stream.is_serve_due:
            stream.is_serve_due = False
            request.serve.worker_id = self._worker_id
            request.serve.names.extend(self._names)
            request.serve.max_concurrent = 0 if self._is_closing else self._max_concurrent
            for call in self._calls.values():
                request.serve.held.add(call_id=call.call_id, attempt=call.attempt)
        room = (EVENTS_MAX, BYTES_MAX)
        for call in self._calls.values():
            update = call._next_update(stream, request_id, room)
            if update:
                request.call_updates.append(update)
                room = (room[0] - len(update.events), room[1] - update.ByteSize())
        return request if request.HasField("serve") or request.call_updates else None

    def _take(self, stream, response):
        stream.is_serving |= response.HasField("serving")
        stream.is_draining |= response.draining
        for rejection in response.serving.rejected:
            self._on_rejected(self._names[rejection.index], rejection.message)
        for cancel in response.cancels:
            self._take_cancel(cancel)
        for ack in response.call_acks:
            self._take_call_ack(stream, ack)
        acked = {ack.request_id for ack in response.acks}
        for key, call in list(self._calls.items()):
            if call._stream is stream and call._end_request in acked:
                del self._calls[key]
        if stream.is_left:
            return  # the bridge takes back what it gives now
        for given in response.calls:
            call = Call(given, stream, self._changed)
            self._calls[call.call_id, call.attempt] = call
            threading.Thread(target=self._answer, args=(call,), daemon=True).start()

    def _answer(self, call):
        end = publisher_pb2.CallEnd()
        try:
            usage = self._handlers[call.name](call)
            if call.is_cancelled:
                end.code = CANCELLED
            if usage:
                end.usage.CopyFrom(struct_pb2.Struct())
                end.usage.update(usage)
        except Failure as failure:
            end.code, end.message = failure.code, str(failure)
        except Exception as error:  # a bug of the handler's ends its call only
            end.code, end.message = INTERNAL, f"{type(error).__name__}: {error}"
        with self._changed:
            call._end = end
            self._changed.notify_all()

    def _take_cancel(self, cancel):
        key = cancel.call_id, cancel.attempt
        call = self._calls.get(key)
        if not call:
            return
        call._cancel()
        if cancel.reason == publisher_pb2.CallCancel.LOST:
            del self._calls[key]

    def _take_call_ack(self, stream, ack):
        key = ack.call_id, ack.attempt
        call = self._calls.get(key)
        if not call or call._stream.number > stream.number:
            return  # it has ended, or has left this stream
        if ack.code in (ABORTED, NOT_FOUND):
            if stream is not self._streams[-1]:
                return  # it is moving to the newest stream, which tells what becomes of it
            call._cancel()
            del self._calls[key]
            return
        while call._acked < ack.next_index and call._unacked:
            call._unacked.popleft()
            call._acked += 1
        call._sent = max(call._sent, call._acked)
        if call._stream is not stream:
            # The call has come to this stream: what the log does not have is sent here.
            call._stream = stream
            call._rewind()
        if ack.code in (UNAVAILABLE, OUT_OF_RANGE):
            stream.rpc.cancel()  # what has no ack is sent again on the next stream, after a pause
        elif ack.code:
            # Its next event is refused for good, and the bridge has dropped what stands behind it.
            call._unacked.clear()
            call._rewind()
            call._refusal = (ack.code, ack.message)
            call._cancel()
