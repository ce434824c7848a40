#include "tests/support/files.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace bridge::test {

std::string ReadFile(const std::filesystem::path& path) {
  std::stringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return content.str();
}

void ReplaceFile(const std::string& path, absl::string_view content) {
  const std::string fresh = path + ".new";
  std::ofstream(fresh, std::ios::binary) << content;
  if (std::rename(fresh.c_str(), path.c_str()) != 0) {
    std::perror(path.c_str());
    std::abort();
  }
}

}  // namespace bridge::test
