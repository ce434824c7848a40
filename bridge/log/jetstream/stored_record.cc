#include "bridge/log/jetstream/stored_record.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include <openssl/evp.h>

#include "absl/hash/hash.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "bridge/base/status_macros.h"
#include "bridge/log/record_codec.h"

namespace bridge::log::jetstream {
namespace {

constexpr size_t kMessageIdBytes = 24;

void Require(bool is_done, const char* what) {
  if (!is_done) {
    std::fprintf(stderr, "OpenSSL: %s failed\n", what);
    std::abort();  // for want of memory, or of SHA-256 itself
  }
}

}  // namespace

std::string KeptSubject(absl::string_view prefix, absl::string_view topic) {
  return absl::StrCat(prefix, ".kept.", topic);
}

std::string LiveSubject(absl::string_view prefix, absl::string_view topic) {
  return absl::StrCat(prefix, ".live.", topic);
}

size_t HashOfMessage(absl::string_view subject, absl::string_view data) { return absl::HashOf(subject, data); }

absl::StatusOr<Record> ReadStored(absl::string_view prefix, absl::string_view subject, absl::string_view data) {
  ASSIGN_OR_RETURN(Record record, DecodeRecord(data));
  constexpr size_t kInfixBytes = 6;  // ".kept." or ".live."
  if (subject.substr(std::min(subject.size(), prefix.size() + kInfixBytes)) != record.topic) {
    return absl::DataLossError(
        absl::StrCat("a record of topic \"", record.topic, "\" under subject \"", subject, "\""));
  }
  return record;
}

base::MonotonicTime ReceivedAt(const Record& record) {
  const absl::Duration age = std::max(absl::Now() - record.time, absl::ZeroDuration());
  return base::MonotonicClock::now() - absl::ToChronoNanoseconds(age);
}

std::optional<Delivered> ParseDelivered(absl::string_view reply) {
  // $JS.ACK.STREAM.CONSUMER.DELIVERED.SEQUENCE.NUMBER.TIME.PENDING, where newer servers have the domain and the
  // account's hash before STREAM and one token more at the end.
  constexpr size_t kTokens = 9;
  constexpr size_t kTokensWithDomain = 11;
  std::array<absl::string_view, kTokensWithDomain> tokens;
  size_t count = 0;
  for (const absl::string_view token : absl::StrSplit(reply, '.')) {
    if (count < tokens.size()) {
      tokens[count] = token;
    }
    ++count;
  }
  if ((count != kTokens && count < kTokensWithDomain) || tokens[0] != "$JS" || tokens[1] != "ACK") {
    return std::nullopt;
  }
  const size_t at = count == kTokens ? 3 : 5;
  Delivered delivered = {.consumer = tokens[at]};
  if (!absl::SimpleAtoi(tokens[at + 2], &delivered.sequence) || !absl::SimpleAtoi(tokens[at + 3], &delivered.number) ||
      !absl::SimpleAtoi(tokens[at + 5], &delivered.pending)) {
    return std::nullopt;
  }
  return delivered;
}

MessageIds::MessageIds() : sha256_(EVP_MD_fetch(nullptr, "SHA256", nullptr)), context_(EVP_MD_CTX_new()) {
  Require(sha256_ != nullptr && context_ != nullptr, "EVP_MD_fetch of SHA256");
}

MessageIds::~MessageIds() = default;

std::string MessageIds::Of(const Record& record) {
  if (record.idempotency_key.empty()) {
    return "";
  }
  // Sizes before the fields, so that ("ab", "c") is not ("a", "bc").
  const std::string text = absl::StrCat(record.publisher.size(), ":", record.publisher, record.topic.size(), ":",
                                        record.topic, record.idempotency_key);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest = {};
  Require(EVP_DigestInit_ex2(context_.get(), sha256_.get(), nullptr) == 1 &&
              EVP_DigestUpdate(context_.get(), text.data(), text.size()) == 1 &&
              EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) == 1,
          "SHA256");
  return absl::WebSafeBase64Escape(absl::string_view(reinterpret_cast<const char*>(digest.data()), kMessageIdBytes));
}

void MessageIds::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }
void MessageIds::Free::operator()(evp_md_st* hash) const { EVP_MD_free(hash); }

}  // namespace bridge::log::jetstream
