#include "bridge/log/jetstream/page_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "bridge/base/status_macros.h"
#include "bridge/log/jetstream/stored_record.h"

namespace bridge::log::jetstream {
namespace {

// How old what is known of the stream's bounds may be.
constexpr absl::Duration kBoundsAgeMax = absl::Milliseconds(100);

// A message that was asked for and is there comes within this.
constexpr absl::Duration kMessageTimeout = absl::Seconds(3);

constexpr size_t kOrderMax = 1000;

constexpr size_t kCursorsMax = 16;
// Shorter than the server keeps them.
constexpr absl::Duration kCursorIdleMax = absl::Seconds(5);

// Whatever JetStream has against a request: to a reader the store is away.
absl::Status AwayUnlessOk(const absl::Status& status) {
  return status.ok() ? status : absl::UnavailableError(status.message());
}

}  // namespace

absl::StatusOr<Page> PageReader::Read(const EventLog::ReadOptions& options, size_t thread) {
  ASSIGN_OR_RETURN(const std::shared_ptr<Session> session, link_->UsableSession());
  if (options.after.epoch != session->epoch()) {
    return absl::NotFoundError(absl::StrCat("epoch ", options.after.epoch, " is over"));
  }
  const uint64_t after = options.after.sequence;
  ASSIGN_OR_RETURN(const StreamInfo stream, Stream(*session, kBoundsAgeMax));
  Reading reading = {.options = options,
                     .thread = thread,
                     .entries_max = std::max<size_t>(1, options.entries_max),
                     .message_bytes = std::max<size_t>(1, stream.bytes / std::max<uint64_t>(1, stream.messages))};
  reading.page.read_to = options.after;
  const auto check_trimmed = [](const StreamInfo& is, uint64_t read_to) {
    return is.first <= read_to + 1 ? absl::OkStatus()
                                   : absl::OutOfRangeError(absl::StrCat("the log starts at ", is.first));
  };
  if (after >= stream.last) {
    return std::move(reading.page);
  }
  RETURN_IF_ERROR(check_trimmed(stream, after));

  const std::string filter =
      KeptSubject(options_.subject_prefix, options.pattern ? absl::string_view(options.pattern->text()) : ">");
  ASSIGN_OR_RETURN(Cursor cursor, TakeCursor(session, filter, after + 1));
  Progress progress = Progress::kGoOn;
  while (progress == Progress::kGoOn) {
    ASSIGN_OR_RETURN(progress, ReadSome(&cursor, &reading));
  }
  cursor.next = reading.page.read_to.sequence + 1;
  if (progress == Progress::kExhausted && cursor.next <= stream.last) {
    RETURN_IF_ERROR(AskLeader(stream.last, &cursor, &reading));
  }
  if (reading.before_jump) {
    // Deleted, of other topics, or trimmed while this was read.
    ASSIGN_OR_RETURN(const StreamInfo now, Stream(*session, absl::ZeroDuration()));
    RETURN_IF_ERROR(check_trimmed(now, *reading.before_jump));
  }
  PutBack(std::move(cursor));
  return std::move(reading.page);
}

absl::StatusOr<Bounds> PageReader::GetBounds() {
  ASSIGN_OR_RETURN(const std::shared_ptr<Session> session, link_->UsableSession());
  // Fresh: what another bridge has acked a moment ago counts.
  ASSIGN_OR_RETURN(const StreamInfo stream, Stream(*session, absl::ZeroDuration()));
  if (!stream.has_quorum) {
    return absl::UnavailableError("most of the servers that hold the stream are away or not up to date");
  }
  return Bounds{.epoch = stream.created, .oldest = stream.first, .newest = stream.last};
}

absl::StatusOr<StreamInfo> PageReader::Stream(const Session& session, absl::Duration age_max) {
  if (const std::optional<StreamInfo> known = link_->KnownStream(session, age_max)) {
    return *known;
  }
  const uint64_t newest = session.newest();
  absl::StatusOr<StreamInfo> stream = GetStream(session.connection(), options_.stream);
  if (stream.ok() && stream->created == session.epoch() && stream->last < newest) {
    return absl::UnavailableError(
        absl::StrCat("NATS says that the stream ends at ", stream->last, ", and ", newest, " has been seen"));
  }
  if (!stream.ok() || stream->created != session.epoch()) {
    return absl::UnavailableError(stream.ok() ? "the stream has been made anew" : stream.status().message());
  }
  link_->NoteStream(*stream);
  return stream;
}

absl::StatusOr<PageReader::Cursor> PageReader::TakeCursor(const std::shared_ptr<Session>& session,
                                                          const std::string& filter, uint64_t next) {
  {
    const absl::MutexLock lock(&mutex_);
    const auto found = std::find_if(cursors_.begin(), cursors_.end(), [&](const Cursor& cursor) {
      return cursor.session == session && cursor.next == next && cursor.filter == filter &&
             cursor.IdleTime() < kCursorIdleMax;
    });
    if (found != cursors_.end()) {
      Cursor cursor = std::move(*found);
      cursors_.erase(found);
      return cursor;
    }
  }
  absl::StatusOr<Pull> pull = Pull::Open(options_, *session, {.first = next, .filter = filter});
  RETURN_IF_ERROR(AwayUnlessOk(pull.status()));
  return Cursor{.session = session, .filter = filter, .next = next, .pull = *std::move(pull)};
}

void PageReader::PutBack(Cursor cursor) {
  if (cursor.pull.outstanding() > 0 || cursor.next == 0) {
    cursor.pull.Forget();
    return;
  }
  cursor.used = base::MonotonicClock::now();
  std::list<Cursor> dropped;
  const absl::MutexLock lock(&mutex_);
  cursors_.push_front(std::move(cursor));
  while (cursors_.size() > kCursorsMax) {
    dropped.splice(dropped.end(), cursors_, std::prev(cursors_.end()));
  }
}

void PageReader::DropIdle() {
  std::list<Cursor> dropped;
  const absl::MutexLock lock(&mutex_);
  while (!cursors_.empty() && cursors_.back().IdleTime() > kCursorIdleMax) {
    dropped.splice(dropped.end(), cursors_, std::prev(cursors_.end()));
  }
}

absl::StatusOr<PageReader::Progress> PageReader::ReadSome(Cursor* cursor, Reading* reading) {
  while (!cursor->kept_back.empty()) {
    if (!Add(cursor->kept_back.front(), reading)) {
      return Progress::kFull;
    }
    cursor->kept_back.pop_front();
  }
  // What is asked for has to be taken: so no more than probably fits.
  const size_t entries = reading->entries_max - std::min(reading->entries_max, reading->page.entries.size());
  const size_t bytes = reading->options.bytes_max - std::min(reading->options.bytes_max, reading->bytes);
  if (entries == 0 || (bytes == 0 && !reading->page.entries.empty())) {
    return Progress::kFull;
  }
  const size_t order = std::min({entries, kOrderMax, bytes / reading->message_bytes + 1});
  const Address& inbox = cursor->session->reader(reading->thread);
  RETURN_IF_ERROR(cursor->pull.Ask({.messages = order, .bytes = bytes + 1}, inbox));
  cursor->session->connection().SendNow();
  while (cursor->pull.outstanding() > 0) {
    InPlace message;
    switch (cursor->pull.Next(inbox, kMessageTimeout, &message)) {
      case Pull::Got::kMessage:
        // What stands before its place is no part of the page.
        if (message.sequence >= cursor->next && (!cursor->kept_back.empty() || !Add(message, reading))) {
          cursor->kept_back.push_back(std::move(message));
        } else {
          reading->spent.Add(std::move(message.message));
        }
        break;
      case Pull::Got::kEnd:
        return cursor->kept_back.empty() ? Progress::kExhausted : Progress::kFull;
      case Pull::Got::kNothing:
        if (!cursor->session->connection().is_open() || cursor->pull.silence() > kMessageTimeout) {
          return absl::UnavailableError("JetStream does not answer");
        }
        break;
      case Pull::Got::kLost:
        return absl::UnavailableError("the page's messages were lost on the way");
    }
  }
  return cursor->kept_back.empty() ? Progress::kGoOn : Progress::kFull;
}

bool PageReader::Add(const InPlace& message, Reading* reading) {
  return AddStored(message.sequence, message.message.subject(), message.message.data(), reading);
}

void PageReader::NoteNext(uint64_t sequence, Reading* reading) {
  const uint64_t read_to = reading->page.read_to.sequence;
  if (sequence > read_to + 1 && !reading->before_jump) {
    reading->before_jump = read_to;
  }
}

bool PageReader::AddStored(uint64_t sequence, absl::string_view subject, absl::string_view data, Reading* reading) {
  Page& page = reading->page;
  absl::StatusOr<Record> record = ReadStored(options_.subject_prefix, subject, data);
  if (!record.ok()) {
    if (!page.entries.empty()) {
      return false;  // a page tells of damage where it starts
    }
    link_->NoteUnreadable(sequence, record.status());
    NoteNext(sequence, reading);
    page.damaged_to = sequence;
    page.read_to.sequence = sequence;
    return true;
  }
  const size_t bytes = record->topic.size() + record->type.size() + record->data.size();
  if (!page.entries.empty() &&
      (page.entries.size() == reading->entries_max || reading->bytes + bytes > reading->options.bytes_max)) {
    return false;
  }
  reading->bytes += bytes;
  NoteNext(sequence, reading);
  page.read_to.sequence = sequence;
  page.entries.push_back({.sequence = sequence, .record = *std::move(record), .received = {}});
  page.entries.back().received = ReceivedAt(page.entries.back().record);
  return true;
}

absl::Status PageReader::AskLeader(uint64_t newest, Cursor* cursor, Reading* reading) {
  const absl::StatusOr<std::optional<StoredMessage>> found =
      GetNextMessage(cursor->session->connection(), options_.stream, {.first = cursor->next, .filter = cursor->filter});
  RETURN_IF_ERROR(AwayUnlessOk(found.status()));
  const std::optional<StoredMessage>& message = *found;
  if (message) {
    AddStored(message->sequence, message->subject, message->data, reading);
    cursor->next = 0;  // it does not stand where the page ends
  } else {
    NoteNext(newest + 1, reading);
    reading->page.read_to.sequence = newest;
    cursor->next = newest + 1;
  }
  return absl::OkStatus();
}

}  // namespace bridge::log::jetstream
