#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <sys/stat.h>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bridge::auth {

// A small file whose content is wanted anew when it changes. Not thread-safe. Reads block.
class WatchedFile {
 public:
  WatchedFile(std::string path, size_t bytes_max) : path_(std::move(path)), bytes_max_(bytes_max) {}

  const std::string& path() const { return path_; }

  // The content where the file is another than at the last call, or changed since; none where it is not, which costs a
  // stat. A change shows in the inode, the size or the time of change. Errors name the path, and come once for each
  // state of the file: NOT_FOUND, PERMISSION_DENIED and the like, INVALID_ARGUMENT where it is too large or no file.
  absl::StatusOr<std::optional<std::string>> ReadIfChanged();

 private:
  // What was there at the last call; an error number where it was nothing that can be read.
  struct State {
    int error = 0;
    dev_t device = 0;
    ino_t inode = 0;
    off_t bytes = 0;
    timespec changed = {};

    friend bool operator==(const State& a, const State& b) {
      return a.error == b.error && a.device == b.device && a.inode == b.inode && a.bytes == b.bytes &&
             a.changed.tv_sec == b.changed.tv_sec && a.changed.tv_nsec == b.changed.tv_nsec;
    }
  };
  State Look() const;

  std::string path_;
  size_t bytes_max_;
  std::optional<State> last_;
};

// The secret that a file with these bytes stands for: one line feed at the end, as editors put it there, is not part of
// it.
absl::string_view SecretIn(absl::string_view bytes);

}  // namespace bridge::auth
