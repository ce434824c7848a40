#include "bridge/log/disk/files.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "bridge/base/status_macros.h"
#include "bridge/log/disk/store_head.h"

namespace bridge::log::disk {
namespace {

constexpr mode_t kDirectoryMode = 0700;
constexpr mode_t kFileMode = 0600;

// What is set aside at a time.
constexpr uint64_t kReserveStepBytes = uint64_t{16} << 20;

absl::Status SystemError(int error, absl::string_view what, absl::string_view path) {
  return absl::ErrnoToStatus(error, absl::StrCat(what, " ", path));
}

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? "." : path.substr(0, std::max<size_t>(slash, 1));
}

// So that a new name in it survives.
absl::Status SyncDirectory(const std::string& path) {
  const Descriptor directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.is_open() || fsync(directory.get()) != 0) {
    return SystemError(errno, "cannot sync the directory", path);
  }
  return absl::OkStatus();
}

absl::Status MakeDirectory(const std::string& path) {
  if (mkdir(path.c_str(), kDirectoryMode) == 0) {
    return SyncDirectory(DirectoryOf(path));
  }
  if (errno != EEXIST) {
    return SystemError(errno, "cannot make the directory", path);
  }
  return absl::OkStatus();
}

// The process that has the lock, as it wrote it there: " (process 123)".
std::string OwnerOf(int lock) {
  std::array<char, 32> text = {};
  const ssize_t size = pread(lock, text.data(), text.size(), 0);
  const absl::string_view owner =
      absl::StripAsciiWhitespace(absl::string_view(text.data(), static_cast<size_t>(std::max<ssize_t>(size, 0))));
  return owner.empty() ? "" : absl::StrCat(" (process ", owner, ")");
}

absl::StatusOr<Descriptor> Lock(const std::string& path) {
  const std::string lock_path = path + "/lock";
  Descriptor lock(open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kFileMode));
  if (!lock.is_open()) {
    return SystemError(errno, "cannot open", lock_path);
  }
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      return SystemError(errno, "cannot lock", lock_path);
    }
    return absl::FailedPreconditionError(
        absl::StrCat("another bridge", OwnerOf(lock.get()), " uses ", path, "; each needs a directory of its own"));
  }
  // For the message above only: without it, the lock holds all the same.
  const std::string owner = absl::StrCat(getpid(), "\n");
  if (ftruncate(lock.get(), 0) != 0 || pwrite(lock.get(), owner.data(), owner.size(), 0) < 0) {
    return lock;
  }
  return lock;
}

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) {
    close(fd_);
  }
}

Files::Files(std::string path, Descriptor lock)
    : path_(std::move(path)), data_path_(path_ + "/data.mdb"), lock_(std::move(lock)) {}

absl::StatusOr<std::unique_ptr<Files>> Files::Open(const std::string& path) {
  RETURN_IF_ERROR(MakeDirectory(path));
  ASSIGN_OR_RETURN(Descriptor lock, Lock(path));
  return std::unique_ptr<Files>(new Files(path, std::move(lock)));
}

bool Files::HasData() const {
  struct stat status = {};
  return stat(data_path_.c_str(), &status) == 0 || errno != ENOENT;
}

absl::Status Files::RemoveNewData() const {
  if (unlink(new_data_path().c_str()) != 0 && errno != ENOENT) {
    return SystemError(errno, "cannot remove", new_data_path());
  }
  return absl::OkStatus();
}

absl::Status Files::NameNewData() const {
  if (rename(new_data_path().c_str(), data_path_.c_str()) != 0) {
    return SystemError(errno, "cannot rename", new_data_path());
  }
  return SyncDirectory(path_);
}

absl::Status Files::CheckData() const {
  const Descriptor data(open(data_path_.c_str(), O_RDWR | O_CLOEXEC));
  struct stat status = {};
  if (!data.is_open() || fstat(data.get(), &status) != 0) {
    return SystemError(errno, "cannot open", data_path_);
  }
  if (const absl::Status head = CheckStoreHead(data.get(), static_cast<uint64_t>(status.st_size)); !head.ok()) {
    return absl::DataLossError(absl::StrCat(data_path_, " is damaged: ", head.message(),
                                            ". Put back a copy of it, or move it away and the log starts anew"));
  }
  return absl::OkStatus();
}

absl::Status Files::OpenData() {
  data_ = Descriptor(open(data_path_.c_str(), O_RDWR | O_CLOEXEC));
  struct stat status = {};
  if (!data_.is_open() || fstat(data_.get(), &status) != 0) {
    return SystemError(errno, "cannot open", data_path_);
  }
  const absl::MutexLock lock(&mutex_);
  data_bytes_ = static_cast<uint64_t>(status.st_size);
  return absl::OkStatus();
}

uint64_t Files::data_bytes() const {
  const absl::MutexLock lock(&mutex_);
  return data_bytes_;
}

absl::Status Files::Reserve(uint64_t bytes) {
  const absl::MutexLock lock(&mutex_);
  if (bytes <= data_bytes_) {
    return absl::OkStatus();
  }
  for (const uint64_t end : {bytes + kReserveStepBytes, bytes}) {
    if (fallocate(data_.get(), 0, static_cast<off_t>(data_bytes_), static_cast<off_t>(end - data_bytes_)) == 0) {
      data_bytes_ = end;
      return absl::OkStatus();
    }
    if (errno != ENOSPC && errno != EDQUOT && errno != EFBIG) {
      return absl::OkStatus();  // the file system does not know how: it is up to each write then
    }
  }
  return absl::ResourceExhaustedError(absl::StrCat("no room for ", bytes, " bytes of ", data_path_));
}

}  // namespace bridge::log::disk
