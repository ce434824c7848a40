#pragma once

#include <memory>
#include <string>
#include <vector>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/message.h>
#include <google/protobuf/util/type_resolver.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bridge::payload {

// The message types that an event's Any may have: those of descriptor sets, and the well-known types
// (google/protobuf/any, duration, empty, field_mask, struct, timestamp and wrappers), which need none. Thread-safe.
class TypeRegistry {
 public:
  // INVALID_ARGUMENT, NOT_FOUND or PERMISSION_DENIED name the file that cannot be used, and why.
  static absl::StatusOr<std::unique_ptr<const TypeRegistry>> Create(
      const std::vector<std::string>& descriptor_set_files);

  TypeRegistry(const TypeRegistry&) = delete;
  TypeRegistry& operator=(const TypeRegistry&) = delete;

  // The type that `type_url` names behind its last slash. INVALID_ARGUMENT: it names none, or one that is not known.
  absl::StatusOr<const google::protobuf::Descriptor*> Find(absl::string_view type_url) const;

  // An empty message of a type that Find returned.
  std::unique_ptr<google::protobuf::Message> New(const google::protobuf::Descriptor& type) const;

  // Finds the same types for protobuf's JSON, by type URLs with any prefix.
  google::protobuf::util::TypeResolver& resolver() const { return *resolver_; }

 private:
  TypeRegistry();

  google::protobuf::DescriptorPool pool_;
  mutable google::protobuf::DynamicMessageFactory factory_{&pool_};
  std::unique_ptr<google::protobuf::util::TypeResolver> resolver_;
};

}  // namespace bridge::payload
