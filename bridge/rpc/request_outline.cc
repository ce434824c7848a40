#include "bridge/rpc/request_outline.h"

#include <algorithm>
#include <utility>

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

#include "bridge/v1/publisher.pb.h"

namespace bridge::rpc {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

// The fields of one message, from its first to its last.
class Fields {
 public:
  explicit Fields(CodedInputStream& input) : input_(input) {}

  // Goes on to the next field, whose value is then to be read or skipped; false at the end.
  bool Next() { return (tag_ = input_.ReadTag()) != 0; }

  int number() const { return WireFormatLite::GetTagFieldNumber(tag_); }
  bool IsVarint() const { return WireFormatLite::GetTagWireType(tag_) == WireFormatLite::WIRETYPE_VARINT; }
  bool IsDelimited() const { return WireFormatLite::GetTagWireType(tag_) == WireFormatLite::WIRETYPE_LENGTH_DELIMITED; }

  bool Skip() { return WireFormatLite::SkipField(&input_, tag_); }
  bool ReadNumber(uint64_t* number) { return input_.ReadVarint64(number); }
  bool ReadText(std::string* text) { return WireFormatLite::ReadString(&input_, text); }

  // Has `read` read the fields of the message that is this field's value. False where it did not come to its end.
  bool ReadMessage(absl::FunctionRef<bool(Fields&)> read) {
    uint32_t size = 0;
    if (!input_.ReadVarint32(&size) || static_cast<int>(size) < 0) {
      return false;
    }
    const CodedInputStream::Limit outer = input_.PushLimit(static_cast<int>(size));
    Fields fields(input_);
    const bool is_whole = read(fields) && input_.BytesUntilLimit() == 0;
    input_.PopLimit(outer);
    return is_whole;
  }

 private:
  CodedInputStream& input_;
  uint32_t tag_ = 0;
};

bool CountServe(Fields& serve, RequestOutline* outline) {
  while (serve.Next()) {
    outline->serve_names += serve.IsDelimited() && serve.number() == v1::Serve::kNamesFieldNumber ? 1U : 0U;
    outline->serve_held += serve.IsDelimited() && serve.number() == v1::Serve::kHeldFieldNumber ? 1U : 0U;
    if (!serve.Skip()) {
      return false;
    }
  }
  return true;
}

bool CountUpdate(Fields& update, RequestOutline* outline) {
  size_t events = 0;
  while (update.Next()) {
    events += update.IsDelimited() && update.number() == v1::CallUpdate::kEventsFieldNumber ? 1U : 0U;
    if (!update.Skip()) {
      return false;
    }
  }
  ++outline->updates;
  outline->update_events += std::max(events, size_t{1});
  return true;
}

bool CountRequest(Fields& request, RequestOutline* outline) {
  while (request.Next()) {
    bool is_read = true;
    if (!request.IsDelimited()) {
      is_read = request.Skip();
    } else if (request.number() == v1::PublishRequest::kRequestIdFieldNumber) {
      is_read = request.ReadText(&outline->request_id);
    } else if (request.number() == v1::PublishRequest::kServeFieldNumber) {
      outline->has_serve = true;
      is_read = request.ReadMessage([&](Fields& serve) { return CountServe(serve, outline); });
    } else if (request.number() == v1::PublishRequest::kCallUpdatesFieldNumber) {
      is_read = request.ReadMessage([&](Fields& update) { return CountUpdate(update, outline); });
    } else {
      outline->events += request.number() == v1::PublishRequest::kEventsFieldNumber ? 1U : 0U;
      is_read = request.Skip();
    }
    if (!is_read) {
      return false;
    }
  }
  return true;
}

bool ReadHead(Fields& update, size_t call_id_bytes_max, UpdateHead* head) {
  while (update.Next()) {
    bool is_read = true;
    uint64_t number = 0;
    if (update.IsDelimited() && update.number() == v1::CallUpdate::kCallIdFieldNumber) {
      is_read = update.ReadText(&head->call_id);
      if (head->call_id.size() > call_id_bytes_max) {
        head->call_id = std::string();
      }
    } else if (update.IsVarint() && update.number() == v1::CallUpdate::kAttemptFieldNumber) {
      is_read = update.ReadNumber(&number);
      head->attempt = static_cast<uint32_t>(number);
    } else if (update.IsVarint() && update.number() == v1::CallUpdate::kFirstIndexFieldNumber) {
      is_read = update.ReadNumber(&head->first_index);
    } else {
      is_read = update.Skip();
    }
    if (!is_read) {
      return false;
    }
  }
  return true;
}

}  // namespace

absl::StatusOr<RequestOutline> OutlineOf(const grpc::ByteBuffer& bytes) {
  grpc::ByteBuffer copy(bytes);  // shares the slices
  grpc::ProtoBufferReader reader(&copy);
  CodedInputStream input(&reader);
  RequestOutline outline;
  Fields request(input);
  if (!CountRequest(request, &outline)) {
    return absl::InvalidArgumentError("the message is not a bridge.v1.PublishRequest");
  }
  return outline;
}

std::vector<UpdateHead> UpdateHeadsOf(const grpc::ByteBuffer& bytes, size_t call_id_bytes_max) {
  grpc::ByteBuffer copy(bytes);
  grpc::ProtoBufferReader reader(&copy);
  CodedInputStream input(&reader);
  std::vector<UpdateHead> heads;
  Fields request(input);
  while (request.Next()) {
    if (!request.IsDelimited() || request.number() != v1::PublishRequest::kCallUpdatesFieldNumber) {
      request.Skip();
      continue;
    }
    UpdateHead head;
    request.ReadMessage([&](Fields& update) { return ReadHead(update, call_id_bytes_max, &head); });
    heads.push_back(std::move(head));
  }
  return heads;
}

}  // namespace bridge::rpc
