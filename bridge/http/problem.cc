#include "bridge/http/problem.h"

#include <google/protobuf/util/json_util.h>

#include "absl/strings/str_cat.h"

#include "bridge/http/v1/http.pb.h"

namespace bridge::http {

const char* ReasonPhrase(int status) {
  switch (status) {
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Error";
  }
}

std::string ProblemJson(const Problem& problem) {
  v1::Problem message;
  message.set_type("about:blank");
  message.set_title(ReasonPhrase(problem.status));
  message.set_status(problem.status);
  message.set_detail(problem.detail);
  message.set_parameter(problem.parameter);
  message.set_example(problem.example);
  std::string json;
  // Fails only where text is not UTF-8; what comes from clients has been escaped.
  const auto status = google::protobuf::util::MessageToJsonString(message, &json);
  return status.ok() ? json : std::string("{}");
}

std::string FormatProblem(const Problem& problem, const std::vector<std::pair<std::string, std::string>>& headers,
                          bool is_head) {
  const std::string body = ProblemJson(problem);
  std::string text = absl::StrCat("HTTP/1.1 ", problem.status, " ", ReasonPhrase(problem.status),
                                  "\r\nContent-Type: ", kProblemContentType, "\r\nContent-Length: ", body.size(),
                                  "\r\nConnection: close\r\nX-Content-Type-Options: nosniff\r\n",
                                  problem.status == 503 ? "Retry-After: 2\r\n" : "");
  for (const auto& [name, value] : headers) {
    absl::StrAppend(&text, name, ": ", value, "\r\n");
  }
  absl::StrAppend(&text, "\r\n", is_head ? "" : body);
  return text;
}

void SetProblem(const Problem& problem, httplib::Response* response) {
  response->status = problem.status;
  response->set_content(ProblemJson(problem), kProblemContentType);
}

}  // namespace bridge::http
