#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace bridge::log::disk {

// A file descriptor, closed by its destructor.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();

  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }

 private:
  int fd_;
};

// The directory of a log on disk, which one log at a time has, in this process or another:
//
//   lock           held while the log is open; its content is the process that has it
//   data.mdb       the store
//   data.mdb-lock  LMDB's table of readers
//   journal.0, .1  what is acked and not yet in the store, with sync: interval (journal.h)
//
// Not thread-safe, but for one.
class Files {
 public:
  // Makes the directory where its parent is there. FAILED_PRECONDITION: another log has it; else why it cannot be used.
  static absl::StatusOr<std::unique_ptr<Files>> Open(const std::string& path);

  const std::string& data_path() const { return data_path_; }
  // Where a store is made before it gets its name: so there is no store that is half made.
  std::string new_data_path() const { return data_path_ + ".new"; }

  bool HasData() const;
  absl::Status RemoveNewData() const;
  absl::Status NameNewData() const;

  // Looks at the store's head before LMDB maps it, since to read a map beyond the file's end kills the process.
  // DATA_LOSS: it is cut off, or no store.
  absl::Status CheckData() const;

  // From here on Reserve may be called.
  absl::Status OpenData();
  // Has the file system set aside the first `bytes` of the store, and some more where it can, so that writing them does
  // not fail for want of room. RESOURCE_EXHAUSTED: there is none. Thread-safe.
  absl::Status Reserve(uint64_t bytes) ABSL_LOCKS_EXCLUDED(mutex_);
  uint64_t data_bytes() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  Files(std::string path, Descriptor lock);

  const std::string path_;
  const std::string data_path_;
  const Descriptor lock_;
  Descriptor data_;

  mutable absl::Mutex mutex_;
  uint64_t data_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace bridge::log::disk
