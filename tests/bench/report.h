#pragma once

#include <string>
#include <string_view>

#include <google/protobuf/struct.pb.h>

namespace bridge::bench {

// What a program of the benchmark found out: one line of JSON on standard output.
class Report {
 public:
  Report& Set(const std::string& key, double value);
  Report& Set(const std::string& key, std::string_view value);

  // Prints the line and flushes it.
  void Print() const;

 private:
  google::protobuf::Struct fields_;
};

// Ends the program with `message` on standard error and exit code 1.
[[noreturn]] void Fail(std::string_view message);

// The same with the text of errno behind the message.
[[noreturn]] void FailErrno(std::string_view message);

}  // namespace bridge::bench
