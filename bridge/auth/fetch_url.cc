#include "bridge/auth/fetch_url.h"

#include <arpa/inet.h>
#include <array>
#include <memory>
#include <netinet/in.h>

#include <curl/curl.h>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "bridge/base/status_macros.h"

namespace bridge::auth {
namespace {

constexpr absl::Duration kConnectTimeout = absl::Seconds(5);

std::string UrlPart(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK) {
    return "";
  }
  const absl::Cleanup free = [text] { curl_free(text); };
  return text;
}

bool IsLoopbackHost(const std::string& host) {
  in_addr ipv4 = {};
  return host == "localhost" || host == "[::1]" ||
         (inet_pton(AF_INET, host.c_str(), &ipv4) == 1 && (ntohl(ipv4.s_addr) >> 24) == 127);
}

struct ParsedUrl {
  bool is_loopback;
};

absl::StatusOr<ParsedUrl> ParseUrl(const std::string& text) {
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> url(curl_url(), curl_url_cleanup);
  if (curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) {
    return absl::InvalidArgumentError(absl::StrCat(text, ": is no URL"));
  }
  if (!UrlPart(url.get(), CURLUPART_USER).empty() || !UrlPart(url.get(), CURLUPART_PASSWORD).empty()) {
    return absl::InvalidArgumentError("a URL of keys has no name and password in it");
  }
  const std::string scheme = UrlPart(url.get(), CURLUPART_SCHEME);
  const ParsedUrl parsed = {.is_loopback = IsLoopbackHost(UrlPart(url.get(), CURLUPART_HOST))};
  if (scheme != "https" && (scheme != "http" || !parsed.is_loopback)) {
    return absl::InvalidArgumentError(absl::StrCat(text, ": is not https, and its host is not this machine"));
  }
  return parsed;
}

// What the callbacks of one transfer share.
struct Transfer {
  const FetchLimits& limits;
  const std::atomic<bool>& is_cancelled;
  std::string body;
  bool is_too_large = false;
};

size_t Receive(char* data, size_t, size_t bytes, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  if (transfer.body.size() + bytes > transfer.limits.bytes_max) {
    transfer.is_too_large = true;
    return CURL_WRITEFUNC_ERROR;
  }
  transfer.body.append(data, bytes);
  return bytes;
}

int Progress(void* context, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  // Relaxed: it says when to stop and orders nothing.
  return static_cast<Transfer*>(context)->is_cancelled.load(std::memory_order_relaxed) ? 1 : 0;
}

}  // namespace

absl::Status CheckFetchUrl(const std::string& url) { return ParseUrl(url).status(); }

absl::StatusOr<std::string> FetchUrl(const std::string& url, const FetchLimits& limits,
                                     const std::atomic<bool>& is_cancelled) {
  ASSIGN_OR_RETURN(const ParsedUrl parsed, ParseUrl(url));
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), curl_easy_cleanup);
  if (curl == nullptr) {
    return absl::UnavailableError(absl::StrCat(url, ": libcurl does not start"));
  }
  Transfer transfer = {.limits = limits, .is_cancelled = is_cancelled, .body = "", .is_too_large = false};
  std::array<char, CURL_ERROR_SIZE> error{};
  const auto set = [&](CURLoption option, auto value) { curl_easy_setopt(curl.get(), option, value); };
  set(CURLOPT_URL, url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");  // which of them was checked above
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_SSLVERSION, long{CURL_SSLVERSION_TLSv1_2});
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(absl::ToInt64Milliseconds(kConnectTimeout)));
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(absl::ToInt64Milliseconds(limits.timeout)));
  set(CURLOPT_NOSIGNAL, 1L);  // this is not the only thread
  if (parsed.is_loopback) {
    set(CURLOPT_PROXY, "");  // the environment's is for what is elsewhere
  }
  set(CURLOPT_USERAGENT, "sse-bridge");
  set(CURLOPT_WRITEFUNCTION, Receive);
  set(CURLOPT_WRITEDATA, &transfer);
  set(CURLOPT_XFERINFOFUNCTION, Progress);
  set(CURLOPT_XFERINFODATA, &transfer);
  set(CURLOPT_NOPROGRESS, 0L);
  set(CURLOPT_ERRORBUFFER, error.data());

  const CURLcode result = curl_easy_perform(curl.get());
  if (transfer.is_too_large) {
    return absl::UnavailableError(absl::StrCat(url, ": the answer has more than ", limits.bytes_max, " bytes"));
  }
  if (result != CURLE_OK) {
    const absl::string_view detail = error[0] != '\0' ? error.data() : curl_easy_strerror(result);
    return absl::UnavailableError(absl::StrCat(url, ": ", detail));
  }
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  if (status >= 300 && status < 400) {
    return absl::UnavailableError(
        absl::StrCat(url, ": answered ", status, ", and redirects are not followed: set the URL that it leads to"));
  }
  if (status != 200) {
    return absl::UnavailableError(absl::StrCat(url, ": answered ", status));
  }
  return std::move(transfer.body);
}

}  // namespace bridge::auth
