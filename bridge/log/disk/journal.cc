#include "bridge/log/disk/journal.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "bridge/base/status_macros.h"
#include "bridge/log/disk/format.h"

namespace bridge::log::disk {
namespace {

constexpr mode_t kFileMode = 0600;

// A file keeps its room up to this, for when the disk is full.
constexpr uint64_t kBytesKept = uint64_t{4} << 20;

// Stands before a record's value and key, which have checksums of their own.
struct Head {
  uint64_t epoch;
  uint64_t sequence;
  uint32_t value_bytes;
  uint32_t key_bytes;
};

absl::Status JournalError(int error, absl::string_view what) {
  const std::string message = absl::StrCat(what, " the journal: ", std::strerror(error));
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

// Takes the next record from the front of `bytes`; one that is not after `newest` without its content. False: there is
// none that is whole and of this epoch.
bool TakeRecord(Position newest, absl::string_view* bytes, StoredRecord* record) {
  Head head = {};
  if (bytes->size() < sizeof(head)) {
    return false;
  }
  std::memcpy(&head, bytes->data(), sizeof(head));
  const absl::string_view content = bytes->substr(sizeof(head));
  if (head.epoch != newest.epoch || content.size() < uint64_t{head.value_bytes} + head.key_bytes) {
    return false;
  }
  *record = {.sequence = head.sequence};
  bytes->remove_prefix(sizeof(head) + head.value_bytes + head.key_bytes);
  if (head.sequence <= newest.sequence) {
    return true;
  }
  record->value = std::string(content.substr(0, head.value_bytes));
  record->key = std::string(content.substr(head.value_bytes, head.key_bytes));
  return OpenRecord(head.sequence, record->value).ok() &&
         (record->key.empty() || OpenKey(head.sequence, record->key).ok());
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

absl::StatusOr<std::vector<StoredRecord>> Journal::RecordsAfter(Position newest) const {
  std::vector<StoredRecord> records;
  for (const File& file : files_) {
    ASSIGN_OR_RETURN(const std::string content, ReadAll(file.descriptor, file.bytes));
    absl::string_view rest = content;
    for (StoredRecord record; TakeRecord(newest, &rest, &record);) {
      if (record.sequence > newest.sequence) {
        records.push_back(std::move(record));
      }
    }
  }
  std::ranges::sort(records, {}, &StoredRecord::sequence);
  std::vector<StoredRecord> next;
  for (StoredRecord& record : records) {
    if (record.sequence == newest.sequence + 1) {
      newest.sequence = record.sequence;
      next.push_back(std::move(record));
    }
  }
  return next;
}

absl::Status Journal::Add(uint64_t epoch, const Batch& batch) {
  std::string bytes;
  bytes.reserve(batch.bytes + batch.records.size() * sizeof(Head));
  for (const StoredRecord& record : batch.records) {
    const Head head = {.epoch = epoch,
                       .sequence = record.sequence,
                       .value_bytes = static_cast<uint32_t>(record.value.size()),
                       .key_bytes = static_cast<uint32_t>(record.key.size())};
    bytes.append(reinterpret_cast<const char*>(&head), sizeof(head));
    absl::StrAppend(&bytes, record.value, record.key);
  }
  File& file = files_[current_];
  for (size_t offset = 0; offset < bytes.size();) {
    const ssize_t size = pwrite(file.descriptor.get(), bytes.data() + offset, bytes.size() - offset,
                                static_cast<off_t>(file.bytes + offset));
    if (size < 0) {
      absl::Status failure = JournalError(errno, "cannot write");
      // Harmless where it fails: the next batch is written over what is there.
      (void)!ftruncate(file.descriptor.get(), static_cast<off_t>(file.bytes));
      return failure;
    }
    offset += static_cast<size_t>(size);
  }
  file.bytes += bytes.size();
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
