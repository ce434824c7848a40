#include "bridge/auth/watched_file.h"

#include <cerrno>
#include <fstream>
#include <ios>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace bridge::auth {

WatchedFile::State WatchedFile::Look() const {
  State state;
  struct stat found = {};
  if (stat(path_.c_str(), &found) != 0) {
    state.error = errno;
    return state;
  }
  state.device = found.st_dev;
  state.inode = found.st_ino;
  state.bytes = found.st_size;
  state.changed = found.st_ctim;  // unlike the time of modification, nobody can set it back
  if (!S_ISREG(found.st_mode)) {
    state.error = EINVAL;
  }
  return state;
}

absl::StatusOr<std::optional<std::string>> WatchedFile::ReadIfChanged() {
  // Looked at before it is read: what is written meanwhile changes it again.
  const State state = Look();
  if (last_.has_value() && *last_ == state) {
    return std::nullopt;
  }
  last_ = state;
  if (state.error == EINVAL) {
    return absl::InvalidArgumentError(absl::StrCat(path_, ": is no file"));
  }
  if (state.error != 0) {
    return absl::ErrnoToStatus(state.error, absl::StrCat(path_, ": cannot be read"));
  }
  errno = 0;
  std::ifstream file(path_, std::ios::binary);
  std::string bytes(bytes_max_ + 1, '\0');
  if (!file || file.read(bytes.data(), static_cast<std::streamsize>(bytes.size())).bad()) {
    return absl::ErrnoToStatus(errno == 0 ? EIO : errno, absl::StrCat(path_, ": cannot be read"));
  }
  bytes.resize(static_cast<size_t>(file.gcount()));
  if (bytes.size() > bytes_max_) {
    return absl::InvalidArgumentError(absl::StrCat(path_, ": is larger than ", bytes_max_, " bytes, no such key is"));
  }
  bytes.shrink_to_fit();
  return bytes;
}

absl::string_view SecretIn(absl::string_view bytes) { return absl::StripSuffix(bytes, "\n"); }

}  // namespace bridge::auth
