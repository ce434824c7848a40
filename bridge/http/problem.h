#pragma once

#include <httplib.h>
#include <string>
#include <utility>
#include <vector>

namespace bridge::http {

// A problem+json answer (RFC 9457): says what is wrong and what would be right.
struct Problem {
  int status = 400;
  std::string detail;
  // The query parameter, header or JSON field that is wrong.
  std::string parameter = {};
  // A right one.
  std::string example = {};
};

// The standard words for a status ("Bad Request").
const char* ReasonPhrase(int status);

std::string ProblemJson(const Problem& problem);

inline constexpr const char* kProblemContentType = "application/problem+json";

// The whole response as it is on the wire, after which the connection is closed; to a HEAD request without the body.
std::string FormatProblem(const Problem& problem, const std::vector<std::pair<std::string, std::string>>& headers,
                          bool is_head);

void SetProblem(const Problem& problem, httplib::Response* response);

}  // namespace bridge::http
