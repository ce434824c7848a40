"""Answers calls: what browsers ask by POST /calls/NAME. Over broken streams, and from one replica to the next, no event is lost and none twice."""

import collections
import random
import threading
import traceback
import uuid

import grpc
from google.protobuf import struct_pb2

from bridge.v1 import publisher_pb2, publisher_pb2_grpc
from publisher import CHANNEL_OPTIONS, EVENT_BYTES_MAX

# Events of an answer that may wait for their ack; with more, its handler waits.
WINDOW = 100
# Of one request; an event that is larger has one of its own. So little is hardly ever more work than the bridge takes of one request.
EVENTS_MAX = 1000
BYTES_MAX = 256 << 10
# Of an end's message, as the bridge takes it.
MESSAGE_BYTES_MAX = 1024

# The pause before the next stream, in seconds: doubled for each that served nothing, or ended because of what was sent on it. Well below the
# bridge's calls.worker_grace.
BACKOFF_MIN = 0.1
BACKOFF_MAX = 2

ABORTED = grpc.StatusCode.ABORTED.value[0]
CANCELLED = grpc.StatusCode.CANCELLED.value[0]
INTERNAL = grpc.StatusCode.INTERNAL.value[0]
INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT.value[0]
NOT_FOUND = grpc.StatusCode.NOT_FOUND.value[0]
OUT_OF_RANGE = grpc.StatusCode.OUT_OF_RANGE.value[0]
RESOURCE_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE.value[0]

# After a stream that ended so the next one may fare no better: another process has the same worker_id (ABORTED), or the bridge does not take what
# is sent.
LASTING = {grpc.StatusCode.ABORTED, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED}


class Failure(Exception):
    """What a handler raises when it cannot answer. With UNAVAILABLE, and before any event, another worker is to try."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code.value[0]


def shortened(message):
    """As much of it as an end's message may have, cut between two characters."""
    return message.encode(errors="replace")[:MESSAGE_BYTES_MAX].decode(errors="ignore")


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
        self._refusal = None  # why the rest is not taken, by the bridge or by send

    @property
    def is_cancelled(self):
        with self._changed:
            return self._is_cancelled

    def send(self, event):
        """Adds a copy of an event (its topic and key unset), and waits while many have no ack.

        False: nobody wants the rest; or the event is too large, which ends the call with INVALID_ARGUMENT.
        """
        copy = publisher_pb2.Event()
        copy.CopyFrom(event)
        with self._changed:
            self._changed.wait_for(lambda: self._is_cancelled or len(self._unacked) < WINDOW)
            if self._is_cancelled:
                return False
            if copy.ByteSize() > EVENT_BYTES_MAX:
                # As the bridge refuses a smaller one: what came before stays, and the call ends with the reason.
                self._refusal = (INVALID_ARGUMENT, f"the event has {copy.ByteSize()} bytes; at most {EVENT_BYTES_MAX}")
                self._cancel()
                return False
            self._unacked.append(copy)
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
        if self._stream is not stream:
            return None
        update = publisher_pb2.CallUpdate(call_id=self.call_id, attempt=self.attempt, first_index=self._sent)
        while self._sent < self._next_index():
            event = self._unacked[self._sent - self._acked]
            bytes_left -= event.ByteSize()
            is_first = events_left == EVENTS_MAX
            if events_left == 0 or (bytes_left < 0 and not is_first):
                break
            events_left -= 1
            update.events.append(event)
            self._sent += 1
        if self._end is not None and not self._end_request and bytes_left > 0 and self._sent == self._next_index():
            update.end.CopyFrom(self._end)
            if self._refusal:
                update.end.code, update.end.message = self._refusal
            self._end_request = request_id
        return update if update.events or update.HasField("end") else None


class _Stream:
    def __init__(self, number):
        self.number = number
        self.rpc = None
        self.status = None  # code and details, when it is done
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
    token(): returns a token, and is called for each stream. Where it raises, it is asked again later.
    on_reconnect(reason, delay_seconds): called before the worker connects again.
    on_rejected(name, message): the bridge does not let this worker serve a name.

    What callbacks raise goes to standard error, and close raises it again; the worker goes on.
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
        self._failure = None  # the first thing that a callback has raised

        self._thread = threading.Thread(target=self._tell, args=(self._keep_connected,), daemon=True)
        self._thread.start()

    def close(self, timeout=None):
        """Takes no more calls, and waits until those that it has are answered. False when that took too long.

        Raises what a callback has raised.
        """
        with self._changed:
            self._is_closing = True
            for stream in self._streams:
                stream.is_serve_due = True
            self._changed.notify_all()
        self._thread.join(timeout)
        if self._failure:
            raise self._failure
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
                was_good = stream.is_serving and not stream.is_draining and stream.status[0] not in LASTING
                delay = BACKOFF_MIN if was_good else min(2 * delay, BACKOFF_MAX)
                jittered = delay * random.uniform(0.5, 1)
                if stream.is_done and not self._is_finished():
                    code, details = stream.status
                    self._tell(self._on_reconnect, f"{code.name} {details}", jittered)
                if self._changed.wait_for(self._is_finished, timeout=jittered):
                    break
        with self._changed:
            self._changed.wait_for(lambda: not self._streams)

    def _tell(self, callback, *arguments):
        try:
            callback(*arguments)
        except Exception as error:
            traceback.print_exc()
            self._failure = self._failure or error

    def _read(self, stream):
        try:
            status = self._read_to_its_end(stream)
        except Exception as error:  # token() has no token: as a bridge that is away
            status = grpc.StatusCode.UNAVAILABLE, repr(error)
        with self._changed:
            stream.status = status
            stream.is_done = True
            self._streams.remove(stream)
            if self._streams and any(call._stream is stream for call in self._calls.values()):
                # The newest stream may not know of calls that this one was given last.
                self._streams[-1].is_serve_due = True
            self._changed.notify_all()

    def _read_to_its_end(self, stream):
        token = self._token()
        metadata = [("authorization", f"Bearer {token}")] if token else []
        with self._channel() as channel:
            stream.rpc = publisher_pb2_grpc.PublisherStub(channel).Publish(self._requests(stream), metadata=metadata)
            try:
                for response in stream.rpc:
                    with self._changed:
                        self._take(stream, response)
                        self._changed.notify_all()
                return stream.rpc.code(), stream.rpc.details()
            except grpc.RpcError as error:
                error.__traceback__ = None
                return error.code(), error.details()
            finally:
                # As in publisher.py: neither a traceback nor a call's stream keeps it until Python exits.
                stream.rpc = None

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
            self._tell(self._on_rejected, self._names[rejection.index], rejection.message)
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
            end.code, end.message = failure.code, shortened(str(failure))
        except Exception as error:  # a bug of the handler's ends its call only
            end.code, end.message = INTERNAL, shortened(f"{type(error).__name__}: {error}")
        with self._changed:
            call._end = end
            self._changed.notify_all()

    def _take_cancel(self, cancel):
        key = cancel.call_id, cancel.attempt
        call = self._calls.get(key)
        if not call:
            return
        self._tell(call._cancel)
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
            self._tell(call._cancel)
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
        elif ack.code == RESOURCE_EXHAUSTED and not call._is_cancelled:
            # One request was too much work. An answer that is too large is told so again, until its cancel has come.
            call._rewind()
        elif ack.code:
            # Its next event, or its end, is refused for good, and the bridge has dropped what stands behind it. In an end that is refused once
            # more, it is the usage that is not taken.
            if call._refusal and call._end is not None and not call._unacked:
                call._end.ClearField("usage")
            call._unacked.clear()
            call._rewind()
            call._refusal = (ack.code, shortened(ack.message))
            self._tell(call._cancel)
