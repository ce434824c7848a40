#pragma once

#include <memory>
#include <string>

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message_lite.h>

namespace demo {

// Whether the bridge can parse `message`. C++ sends what it is given, but no parser takes strings that are not UTF-8,
// and the bridge's ends the stream of who sends one.
inline bool IsWellFormed(const google::protobuf::MessageLite& message) {
  // Deep enough for the 64 levels of JSON that the bridge takes, each of which is up to three messages.
  constexpr int kRecursionLimit = 250;
  const std::string bytes = message.SerializeAsString();
  google::protobuf::io::ArrayInputStream stream(bytes.data(), static_cast<int>(bytes.size()));
  google::protobuf::io::CodedInputStream input(&stream);
  input.SetRecursionLimit(kRecursionLimit);
  const std::unique_ptr<google::protobuf::MessageLite> parsed(message.New());
  return parsed->ParseFromCodedStream(&input) && input.ConsumedEntireMessage();
}

}  // namespace demo
