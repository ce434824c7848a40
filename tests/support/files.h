#pragma once

#include <filesystem>
#include <string>

#include "absl/strings/string_view.h"

namespace bridge::test {

// What is in a file; empty where there is none.
std::string ReadFile(const std::filesystem::path& path);

// Makes a file, or replaces it as careful writers do, and Kubernetes: it changes at once, and is another one.
void ReplaceFile(const std::string& path, absl::string_view content);

}  // namespace bridge::test
