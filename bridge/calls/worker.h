#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"

#include "bridge/calls/worker_stream.h"

namespace bridge::calls {

// A publisher's stream that may serve calls. Lives on the loop of Calls.
struct Worker {
  // The publisher's name and the worker's id: what claims name.
  std::string key;
  const std::string publisher;
  // nullptr when it has left, or a newer stream has taken over.
  std::shared_ptr<WorkerStream> stream;
  absl::flat_hash_set<std::string> names;
  uint32_t concurrent_max = 0;
  // Of the stream, among all streams of this worker: newer ones have larger numbers, on whatever replica.
  uint64_t number = 0;
  // Calls that it has, or is about to have.
  size_t calls = 0;
  // It has been told to go on elsewhere.
  bool is_leaving = false;
  // What it holds is being looked up. Until that is known it is given nothing.
  bool is_coming = false;
  // How many times it has said what it serves, and what it held the last time.
  uint64_t serves = 0;
  std::vector<Serve::Held> held;

  Worker(std::string name, std::shared_ptr<WorkerStream> its_stream)
      : publisher(std::move(name)), stream(std::move(its_stream)) {}

  bool is_serving() const { return stream != nullptr && !key.empty(); }
  bool HasRoom() const { return is_serving() && !is_leaving && !is_coming && calls < concurrent_max; }
  bool HasRoomFor(absl::string_view name) const { return HasRoom() && names.contains(name); }
};

}  // namespace bridge::calls
