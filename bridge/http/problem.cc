#include "bridge/http/problem.h"

#include <google/protobuf/util/json_util.h>

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

void SetProblem(const Problem& problem, httplib::Response* response) {
  response->status = problem.status;
  response->set_content(ProblemJson(problem), kProblemContentType);
}

}  // namespace bridge::http
