#include "bridge/http_get.h"

#include <array>
#include <memory>

#include <curl/curl.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace bridge {
namespace {

using ListPtr = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;

// What the callback of one transfer needs.
struct Transfer {
  CURL* curl;
  OnBody on_body;
  bool is_ended = false;

  int status() const {
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return static_cast<int>(status);
  }
};

size_t Receive(char* data, size_t, size_t bytes, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  transfer.is_ended = !transfer.on_body(transfer.status(), absl::string_view(data, bytes));
  return transfer.is_ended ? CURL_WRITEFUNC_ERROR : bytes;
}

ListPtr HeadersOf(const HttpRequest& request) {
  ListPtr headers(nullptr, curl_slist_free_all);
  if (!request.authorization.empty()) {
    headers.reset(curl_slist_append(nullptr, absl::StrCat("Authorization: ", request.authorization).c_str()));
  }
  return headers;
}

}  // namespace

absl::StatusOr<int> HttpGet(const HttpRequest& request, OnBody on_body) {
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), curl_easy_cleanup);
  if (curl == nullptr) {
    return absl::UnavailableError(absl::StrCat(request.url, ": libcurl does not start"));
  }
  Transfer transfer = {.curl = curl.get(), .on_body = on_body};
  const ListPtr headers = HeadersOf(request);
  std::array<char, CURL_ERROR_SIZE> error{};
  const auto set = [&](CURLoption option, auto value) { curl_easy_setopt(curl.get(), option, value); };
  set(CURLOPT_URL, request.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_PROXY, "");
  set(CURLOPT_HTTPHEADER, headers.get());
  set(CURLOPT_USERAGENT, "sse-bridge");
  if (!request.ca_file.empty()) {
    set(CURLOPT_CAINFO, request.ca_file.c_str());
  }
  set(CURLOPT_SSLVERSION, long{CURL_SSLVERSION_TLSv1_2});
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(absl::ToInt64Milliseconds(request.timeout)));
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_WRITEFUNCTION, Receive);
  set(CURLOPT_WRITEDATA, &transfer);
  set(CURLOPT_ERRORBUFFER, error.data());

  const CURLcode result = curl_easy_perform(curl.get());
  if (result == CURLE_OK || transfer.is_ended) {
    return transfer.status();
  }
  const absl::string_view detail = error[0] != '\0' ? error.data() : curl_easy_strerror(result);
  const std::string message = absl::StrCat(request.url, ": ", detail);
  return result == CURLE_OPERATION_TIMEDOUT ? absl::DeadlineExceededError(message) : absl::UnavailableError(message);
}

}  // namespace bridge
