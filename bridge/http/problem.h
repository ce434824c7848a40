#pragma once

#include <httplib.h>
#include <string>

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

void SetProblem(const Problem& problem, httplib::Response* response);

}  // namespace bridge::http
