#include "bridge/health.h"

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "bridge/base/shown.h"
#include "bridge/base/status_macros.h"
#include "bridge/http_get.h"
#include "bridge/own_address.h"

namespace bridge {
namespace {

// The admin port answers at once.
constexpr absl::Duration kTimeout = absl::Seconds(2);
constexpr size_t kAnswerBytesMax = 200;

}  // namespace

absl::Status CheckHealth(const config::Source& source) {
  ASSIGN_OR_RETURN(const config::v1::Config config, config::Read(source));
  ASSIGN_OR_RETURN(const std::string address, OwnAddress("admin.address", config.admin().address()));
  const std::string url = absl::StrCat("http://", address, "/readyz");
  std::string answer;
  ASSIGN_OR_RETURN(const int status,
                   HttpGet({.url = url, .timeout = kTimeout}, [&answer](int /*status*/, absl::string_view bytes) {
                     absl::StrAppend(&answer, bytes.substr(0, kAnswerBytesMax - answer.size()));
                     return answer.size() < kAnswerBytesMax;
                   }));
  if (status != 200) {
    return absl::UnavailableError(absl::StrCat(url, " answered ", status, ": ",
                                               base::Shown(absl::StripAsciiWhitespace(answer), kAnswerBytesMax)));
  }
  return absl::OkStatus();
}

}  // namespace bridge
