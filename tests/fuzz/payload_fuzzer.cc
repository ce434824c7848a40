// Whatever an event's payload is, it becomes a text within its bounds or one line of error that is plain ASCII; JSON is
// well-formed.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>
#include <utility>

#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/util/json_util.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

#include "bridge/base/utf8.h"
#include "bridge/payload/json_printer.h"
#include "bridge/payload/transcoder.h"
#include "bridge/v1/publisher.pb.h"

namespace {

constexpr size_t kFrameBytes = 2000;

// Knows the publisher's own messages: they have all kinds of fields that JSON treats on its own.
bridge::payload::Transcoder MakeTranscoder() {
  google::protobuf::FileDescriptorSet set;
  bridge::v1::Event::descriptor()->file()->CopyTo(set.add_file());
  const std::filesystem::path path = std::filesystem::temp_directory_path() / absl::StrCat("payload_fuzzer_", getpid());
  std::ofstream(path, std::ios::binary) << set.SerializeAsString();
  absl::StatusOr<bridge::payload::Transcoder> transcoder =
      bridge::payload::Transcoder::Create({.descriptor_set_files = {path}, .bytes_max = kFrameBytes});
  std::filesystem::remove(path);
  return *std::move(transcoder);
}

bool IsJson(const std::string& text) {
  google::protobuf::Value value;
  return google::protobuf::util::JsonStringToMessage(text, &value).ok();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const bridge::payload::Transcoder* const transcoder = [] {
    google::protobuf::SetLogHandler(nullptr);
    return new bridge::payload::Transcoder(MakeTranscoder());
  }();
  google::protobuf::io::CodedInputStream input(data, static_cast<int>(size));
  input.SetRecursionLimit(300);
  bridge::v1::Event event;
  if (!event.ParseFromCodedStream(&input)) {
    return 0;
  }
  const bool is_json = event.has_json() || event.has_message();
  const absl::StatusOr<std::string> text = transcoder->Transcode(std::move(event));
  if (text.ok()) {
    const bool is_right_json =
        !is_json || (bridge::payload::JsonLevels(*text) <= bridge::payload::kJsonLevelsMax && IsJson(*text));
    if (text->size() > kFrameBytes || !bridge::base::IsUtf8(*text) || !is_right_json) {
      std::abort();
    }
  } else {
    const absl::string_view message = text.status().message();
    if (text.status().code() != absl::StatusCode::kInvalidArgument || message.size() > 2000 ||
        !std::all_of(message.begin(), message.end(),
                     [](char c) { return absl::ascii_isprint(static_cast<unsigned char>(c)); })) {
      std::abort();
    }
  }
  return 0;
}
