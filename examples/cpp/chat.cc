#include "chat.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <google/protobuf/util/json_util.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "answers.h"
#include "demo.pb.h"
#include "well_formed.h"

namespace demo {
namespace {

using ::bridge::v1::Call;
using ::bridge::v1::CallEnd;
using ::bridge::v1::Event;

// So often it says how far it is.
constexpr absl::Duration kProgressInterval = absl::Milliseconds(250);

Prompt PromptOf(const Call& call) {
  Prompt prompt;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  const bool is_json = google::protobuf::util::JsonStringToMessage(call.body(), &prompt, options).ok();
  if (!is_json || prompt.prompt().empty()) prompt.set_prompt(call.body());
  return prompt;
}

std::string NewSeries() {
  absl::BitGen bits;
  return absl::StrCat("demo.worker/", absl::Hex(absl::Uniform<uint32_t>(bits), absl::kZeroPad8));
}

// A body may be any bytes, and an event's strings may not.
CallEnd NotUtf8() {
  CallEnd end;
  end.set_code(grpc::StatusCode::INVALID_ARGUMENT);
  end.set_message("the prompt is not UTF-8");
  return end;
}

CallEnd EndAfter(uint32_t tokens, const std::string& prompt, bool is_cancelled) {
  CallEnd end;
  if (is_cancelled) end.set_code(grpc::StatusCode::CANCELLED);
  auto& usage = *end.mutable_usage()->mutable_fields();
  usage["input_tokens"].set_number_value(static_cast<double>(Tokenize(prompt).size()));
  usage["output_tokens"].set_number_value(tokens);
  return end;
}

}  // namespace

std::string AnswerTo(const std::string& prompt) {
  const auto known = std::find_if(Answers().begin(), Answers().end(),
                                  [&prompt](const QuestionAndAnswer& each) { return each.question == prompt; });
  if (known != Answers().end()) return std::string(known->answer);
  return absl::StrCat("You asked: “", prompt,
                      "”\n\nNobody here knows the answer, because no language model is attached: this text is made up. "
                      "What is real is its way. Your browser sent one POST, the bridge keeps each token under an id, "
                      "and a worker in C++ writes them over the gRPC stream that it holds open.\n\nCut the network and "
                      "the rest is still to come; reload and all of it is there again. Press Stop, and the worker "
                      "stops: what it did not write costs nobody anything.");
}

Chat::Chat(Options options, PublisherClient* publisher)
    : options_(options), publisher_(*publisher), series_(NewSeries()) {}

CallEnd Chat::Handle(WorkerClient::Answer& answer) {
  const Prompt asked = PromptOf(answer.call());
  if (!IsWellFormed(asked)) return NotUtf8();
  const std::string& prompt = asked.prompt();
  Progress progress = {.call_id = answer.call().call_id()};
  absl::Time said = absl::Now();
  Say("working", progress);
  absl::BitGen bits;
  bool is_cancelled = answer.AwaitCancel(options_.thinking);
  for (const std::string& token : Tokenize(AnswerTo(prompt))) {
    if (is_cancelled) break;
    Event event;
    event.set_type("token");
    event.mutable_json()->set_string_value(token);
    is_cancelled = !answer.Send(std::move(event));
    if (is_cancelled) break;
    ++progress.tokens;
    if (absl::Now() - said > kProgressInterval) {
      said = absl::Now();
      Say("working", progress);
    }
    is_cancelled = answer.AwaitCancel(absl::Seconds(absl::Uniform(bits, 0.6, 1.4) / options_.token_rate));
  }
  Say("idle", progress);
  return EndAfter(progress.tokens, prompt, is_cancelled);
}

void Chat::Say(const std::string& state, const Progress& progress) {
  Worker worker;
  worker.set_state(state);
  worker.set_call_id(progress.call_id);
  worker.set_tokens(progress.tokens);
  worker.set_series(series_);
  Event event;
  event.set_topic("demo.worker");
  event.set_type("worker");
  const absl::MutexLock lock(&mutex_);
  worker.set_n(last_n_ + 1);
  worker.set_t(static_cast<double>(absl::ToUnixMillis(absl::Now())));
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;  // 0 tokens too
  options.preserve_proto_field_names = true;
  // It is worth nothing later: no waiting for room.
  if (google::protobuf::util::MessageToJsonString(worker, event.mutable_text(), options).ok() &&
      publisher_.Publish(std::move(event), absl::InfinitePast()).ok()) {
    ++last_n_;
  }
}

}  // namespace demo
