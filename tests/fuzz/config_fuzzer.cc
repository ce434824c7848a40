// A configuration file is read into a valid configuration or one line of error, whatever it holds. What comes after a
// NUL is a --set.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

#include "bridge/config/config.h"
#include "bridge/config/validate.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  absl::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> overrides;
  if (const size_t nul = text.find('\0'); nul != absl::string_view::npos) {
    overrides.emplace_back(text.substr(nul + 1));
    text = text.substr(0, nul);
  }
  const absl::StatusOr<bridge::config::v1::Config> config = bridge::config::LoadText(text, "fuzz.yaml", overrides);
  if (config.ok()) {
    if (!config->has_http() || !config->log().has_history() || !bridge::config::Validate(*config).ok()) {
      std::abort();
    }
  } else if (config.status().code() != absl::StatusCode::kInvalidArgument || config.status().message().empty()) {
    std::abort();
  }
  return 0;
}
