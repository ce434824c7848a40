#include "tests/bench/report.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <iostream>

#include <google/protobuf/util/json_util.h>

namespace bridge::bench {

Report& Report::Set(const std::string& key, double value) {
  (*fields_.mutable_fields())[key].set_number_value(value);
  return *this;
}

Report& Report::Set(const std::string& key, std::string_view value) {
  (*fields_.mutable_fields())[key].set_string_value(std::string(value));
  return *this;
}

void Report::Print() const {
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(fields_, &json).ok()) Fail("a report is not JSON");
  std::cout << json << '\n' << std::flush;
}

void Fail(std::string_view message) {
  std::cerr << message << '\n';
  std::exit(1);
}

void FailErrno(std::string_view message) {
  const int error = errno;
  Fail(std::string(message) + ": " + std::strerror(error));
}

}  // namespace bridge::bench
