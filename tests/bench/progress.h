#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace bridge::bench {

// A number that a receiver tells a publisher in another process: the sequence up to which every stream has received. It
// lives in a file that both map.
class Progress {
 public:
  // Makes the file where it is not there. Ends the program where it cannot be mapped.
  explicit Progress(const std::string& file);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Relaxed: the number stands for itself, no other memory is read because of it.
  uint64_t Get() const { return value_->load(std::memory_order_relaxed); }
  void Set(uint64_t sequence) { value_->store(sequence, std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t>* value_;
};

}  // namespace bridge::bench
