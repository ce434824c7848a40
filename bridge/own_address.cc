#include "bridge/own_address.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "bridge/config/address.h"
#include "bridge/config/listener.h"

namespace bridge {

absl::StatusOr<std::string> OwnAddress(absl::string_view field, const std::string& address) {
  const config::Address parsed = config::ListenAddress(address);
  if (parsed.port == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(field, " is ", address, ", which takes a free port that nobody else knows: give it a port"));
  }
  if (parsed.host == "0.0.0.0") {
    return absl::StrCat("127.0.0.1:", parsed.port);
  }
  if (parsed.host == "::") {
    return absl::StrCat("localhost:", parsed.port);  // where there is no IPv6, 127.0.0.1 leads there too
  }
  return address;
}

}  // namespace bridge
