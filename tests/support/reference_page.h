#pragma once

#include <string>

#include <google/protobuf/descriptor.pb.h>

namespace bridge::test {

// The descriptor set in the file that the environment variable names.
google::protobuf::FileDescriptorSet DescriptorsNamedBy(const char* variable);

// Expects that a page of docs/ has this content; with BRIDGE_WRITE_DOCS in the environment it is written first.
// `script` is what writes it. Needs BRIDGE_SOURCE_DIR in the environment.
void ExpectPageIs(const std::string& name, const std::string& content, const std::string& script);

}  // namespace bridge::test
