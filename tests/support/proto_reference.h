#pragma once

#include <string>

#include <google/protobuf/descriptor.pb.h>

namespace bridge::test {

// docs/grpc.md: the services and messages of publisher.proto with what their comments say, as Markdown.
// `publisher_proto` is what `protoc --include_source_info --descriptor_set_out` makes of that file.
std::string ProtoReference(const google::protobuf::FileDescriptorSet& publisher_proto);

}  // namespace bridge::test
