#pragma once

#include <string>

#include <google/protobuf/descriptor.pb.h>

namespace bridge::test {

// docs/configuration.md: every section and field of config.proto with what its comment and options say, as Markdown.
// `config_proto` is what `protoc --include_source_info --descriptor_set_out` makes of that file.
std::string ConfigReference(const google::protobuf::FileDescriptorSet& config_proto);

}  // namespace bridge::test
