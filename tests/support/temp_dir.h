#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace bridge::test {

// A directory of a test's own, removed with all that is in it.
class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "bridge_test.XXXXXX").string();
    path_ = mkdtemp(name.data()) == nullptr ? "" : name;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  // Empty where it could not be made.
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace bridge::test
