#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "tests/chaos/calls_ledger.h"
#include "tests/support/sse_client.h"

namespace bridge::chaos {

// A browser's tab that asks once: it posts with an Idempotency-Key, again until that is answered, and wherever the
// stream ends it goes on, through any of the bridges: by the same POST, by GET, or as a reloaded page does from the
// beginning. Everything is told to the ledger.
//
// Thread-safe. Owns a thread.
class CallReader {
 public:
  enum class Kind {
    kStays,      // reads to the end
    kContinues,  // with on_disconnect=continue
    kAsync,      // with Prefer: respond-async, and a GET
    kCancels,    // somewhere in the middle
    kLeaves,     // closes the tab somewhere in the middle, and looks long after that what has become of it
  };
  // Each by its share, for a random number.
  static Kind KindOf(uint64_t chance);

  struct Options {
    // The ledger's.
    size_t index = 0;
    std::vector<uint16_t> ports;
    std::string name = "chat";
    Kind kind = Kind::kStays;
    absl::Duration starts_after;
    // Where it cancels or leaves.
    uint64_t tokens_before = 0;
    // How long after leaving it looks.
    absl::Duration looks_after;
    uint64_t seed = 0;
  };

  // `ledger` outlives it.
  CallReader(Options options, CallsLedger* ledger);
  // Ends without waiting for the end of the answer.
  ~CallReader();
  CallReader(const CallReader&) = delete;
  CallReader& operator=(const CallReader&) = delete;

  // The connection is cut, soon.
  void Cut() { is_to_cut_ = true; }
  uint64_t connects() const { return connects_; }

 private:
  void Run();
  // Sleeps; false where the reader ends.
  bool Sleep(absl::Duration duration) const;
  // One request and what comes of it; whether it brought something.
  bool Connect();
  test::SseClient::Options NextRequest();
  // Reads until the connection ends or is to be left.
  bool Follow(test::SseClient& client);
  void Take(const test::SseEvent& event);
  void Cancel();
  bool IsTimeToAct() const { return tokens_ >= options_.tokens_before; }

  const Options options_;
  CallsLedger* const ledger_;
  const std::string key_;
  std::mt19937_64 random_;
  std::string call_id_;
  std::string last_event_id_;
  uint64_t tokens_ = 0;
  size_t turn_ = 0;
  bool has_end_ = false;
  bool has_acted_ = false;
  bool has_looked_ = false;
  std::atomic<bool> is_to_cut_{false};
  std::atomic<bool> is_ending_{false};
  std::atomic<uint64_t> connects_{0};
  std::thread thread_;
};

}  // namespace bridge::chaos
