#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <google/protobuf/struct.pb.h>

#include "absl/status/statusor.h"

#include "bridge/payload/json_estimate.h"
#include "bridge/payload/json_printer.h"
#include "bridge/payload/type_registry.h"
#include "bridge/v1/publisher.pb.h"

namespace bridge::payload {

// Turns an event's payload into the text that subscribers get as data. Thread-safe.
//
//   text     as it is
//   binary   base64 (RFC 4648 §4, with padding)
//   json     compact JSON, members in the order of their names
//   message  the packed message's own proto3 JSON, without "@type"
//
// Known are the types of the descriptor sets and the well-known types. Lists and objects may have 64 levels; but a
// Value that is a field of a message only some 30, which is protobuf's own limit.
//
// What it makes is UTF-8 and at most `bytes_max` long, and what it holds meanwhile is bounded by a multiple of that,
// whatever a publisher sends.
class Transcoder {
 public:
  struct Options {
    // Files as `protoc --include_imports --descriptor_set_out` makes them. They may share files that agree.
    std::vector<std::string> descriptor_set_files;
    JsonNames json_names = JsonNames::kLowerCamel;
    // http.max_frame_bytes.
    size_t bytes_max = size_t{512} << 10;
  };

  // INVALID_ARGUMENT, NOT_FOUND or PERMISSION_DENIED name the descriptor set that cannot be used, and why.
  static absl::StatusOr<Transcoder> Create(const Options& options);

  // Takes the payload out of `event`, whose other fields stay. REQUIRES: `event` was parsed, so that its strings are
  // UTF-8.
  //
  // INVALID_ARGUMENT, with a message for the publisher: no payload is set; a Value is NaN, infinite or not set; nesting
  // is deeper than 64 JSON levels; a type is unknown; the bytes of a message do not parse; a message has no JSON; the
  // text would be longer than http.max_frame_bytes.
  //
  // `work`, where it is not nullptr, is raised by what it took, also where it failed: in the units of JsonEstimate.
  // Text and binary take none.
  absl::StatusOr<std::string> Transcode(v1::Event&& event, uint64_t* work = nullptr) const;

  // An object as compact JSON of at most `bytes_max` bytes, likewise. The errors go on from its name.
  absl::StatusOr<std::string> TranscodeObject(google::protobuf::Struct&& object, size_t bytes_max,
                                              uint64_t* work = nullptr) const;

 private:
  Transcoder(std::unique_ptr<const TypeRegistry> types, const Options& options);

  absl::Status PrintPacked(const google::protobuf::Any& message, BoundedOutput& output, JsonEstimate& estimate) const;
  // The errors go on from the name of the part that they are about.
  absl::Status PrintMessage(const google::protobuf::Descriptor& type, absl::string_view bytes, BoundedOutput& output,
                            JsonEstimate& estimate) const;

  std::unique_ptr<const TypeRegistry> types_;
  size_t bytes_max_;
  JsonPrinter printer_;
};

}  // namespace bridge::payload
