#include "bridge/log/disk/journal.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "bridge/base/status_macros.h"
#include "bridge/log/disk/format.h"

namespace bridge::log::disk {
namespace {

constexpr mode_t kFileMode = 0600;

// A file keeps its room up to this, for when the disk is full.
constexpr uint64_t kBytesKept = uint64_t{4} << 20;

// Stands before a batch: its places, then its bytes. Values and keys have checksums of their own.
struct Head {
  uint64_t epoch;
  uint64_t records;
  uint64_t bytes;
};

absl::Status JournalError(int error, absl::string_view what) {
  const std::string message = absl::StrCat(what, " the journal: ", std::generic_category().message(error));
  return error == ENOSPC || error == EDQUOT || error == EFBIG ? absl::ResourceExhaustedError(message)
                                                              : absl::InternalError(message);
}

absl::StatusOr<std::string> ReadAll(const Descriptor& file, uint64_t bytes) {
  std::string content(bytes, '\0');
  for (size_t offset = 0; offset < content.size();) {
    const ssize_t size =
        pread(file.get(), content.data() + offset, content.size() - offset, static_cast<off_t>(offset));
    if (size < 0) {
      return JournalError(errno, "cannot read");
    }
    if (size == 0) {
      content.resize(offset);
    }
    offset += static_cast<size_t>(size);
  }
  return content;
}

bool IsWhole(const StoredRecord& record) {
  return OpenRecord(record.sequence, record.value).ok() &&
         (record.key.empty() || OpenKey(record.sequence, record.key).ok());
}

// Takes the next batch from the front of `bytes`, and adds those of its records that come after `newest`. False: it is
// the last one, for nothing or something damaged stands behind.
bool TakeBatch(Position newest, absl::string_view* bytes, std::vector<StoredRecord>* records) {
  Head head = {};
  if (bytes->size() < sizeof(head)) {
    return false;
  }
  std::memcpy(&head, bytes->data(), sizeof(head));
  bytes->remove_prefix(sizeof(head));
  if (head.epoch != newest.epoch || head.records > bytes->size() / sizeof(Batch::Place)) {
    return false;
  }
  const absl::string_view places = bytes->substr(0, head.records * sizeof(Batch::Place));
  bytes->remove_prefix(places.size());
  const absl::string_view content = bytes->substr(0, head.bytes);
  bytes->remove_prefix(content.size());
  for (size_t at = 0; at < places.size(); at += sizeof(Batch::Place)) {
    Batch::Place place;
    std::memcpy(&place, places.data() + at, sizeof(place));
    if (place.at > content.size() || content.size() - place.at < uint64_t{place.value_bytes} + place.key_bytes) {
      return false;
    }
    if (place.sequence <= newest.sequence) {
      continue;
    }
    records->push_back(Batch::In(content, place));
    if (!IsWhole(records->back())) {
      records->pop_back();
      return false;
    }
  }
  return true;
}

// Writes all of `parts` at `offset`, one behind the other. False: errno says why not.
bool WriteAll(const Descriptor& file, uint64_t offset, std::array<iovec, 3> parts) {
  for (size_t first = 0; first < parts.size();) {
    const ssize_t size =
        pwritev(file.get(), &parts.at(first), static_cast<int>(parts.size() - first), static_cast<off_t>(offset));
    if (size < 0) {
      return false;
    }
    offset += static_cast<uint64_t>(size);
    for (auto rest = static_cast<size_t>(size); first < parts.size(); ++first) {
      iovec& part = parts.at(first);
      if (rest < part.iov_len) {
        part = {.iov_base = static_cast<char*>(part.iov_base) + rest, .iov_len = part.iov_len - rest};
        break;
      }
      rest -= part.iov_len;
    }
  }
  return true;
}

}  // namespace

absl::StatusOr<Journal> Journal::Open(const std::string& directory) {
  Journal journal;
  for (size_t i = 0; i < journal.files_.size(); ++i) {
    File& file = journal.files_[i];
    const std::string path = absl::StrCat(directory, "/journal.", i);
    file.descriptor = Descriptor(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kFileMode));
    struct stat status = {};
    if (!file.descriptor.is_open() || fstat(file.descriptor.get(), &status) != 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
    }
    file.bytes = static_cast<uint64_t>(status.st_size);
  }
  return journal;
}

absl::StatusOr<Batch> Journal::RecordsAfter(Position newest) const {
  std::array<std::string, 2> contents;
  std::vector<StoredRecord> records;
  for (size_t i = 0; i < files_.size(); ++i) {
    ASSIGN_OR_RETURN(contents[i], ReadAll(files_[i].descriptor, files_[i].bytes));
    absl::string_view rest = contents[i];
    while (TakeBatch(newest, &rest, &records)) {
    }
  }
  std::ranges::sort(records, {}, &StoredRecord::sequence);
  Batch next;
  for (const StoredRecord& record : records) {
    if (record.sequence == newest.sequence + 1) {
      newest.sequence = record.sequence;
      next.Add(record);
    }
  }
  return next;
}

absl::Status Journal::Add(uint64_t epoch, const Batch& batch) {
  Head head = {.epoch = epoch, .records = batch.size(), .bytes = batch.bytes().size()};
  const size_t places_bytes = batch.size() * sizeof(Batch::Place);
  File& file = files_[current_];
  if (!WriteAll(file.descriptor, file.bytes,
                {iovec{.iov_base = &head, .iov_len = sizeof(head)},
                 iovec{.iov_base = const_cast<Batch::Place*>(batch.places().data()), .iov_len = places_bytes},
                 iovec{.iov_base = const_cast<char*>(batch.bytes().data()), .iov_len = batch.bytes().size()}})) {
    absl::Status failure = JournalError(errno, "cannot write");
    // Harmless where it fails: the next batch is written over what is there.
    (void)!ftruncate(file.descriptor.get(), static_cast<off_t>(file.bytes));
    return failure;
  }
  file.bytes += sizeof(head) + places_bytes + batch.bytes().size();
  return absl::OkStatus();
}

void Journal::TurnOver() {
  if (const size_t other = 1 - current_; files_[other].bytes == 0) {
    current_ = other;
  }
}

absl::Status Journal::Drop(Written written) {
  RETURN_IF_ERROR(Empty(&files_[1 - current_]));
  return written == Written::kAll ? Empty(&files_[current_]) : absl::OkStatus();
}

absl::Status Journal::Empty(File* file) {
  if (file->bytes > kBytesKept && ftruncate(file->descriptor.get(), kBytesKept) != 0) {
    return JournalError(errno, "cannot shorten");
  }
  file->bytes = 0;
  return absl::OkStatus();
}

}  // namespace bridge::log::disk
