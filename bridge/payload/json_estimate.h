#pragma once

#include <cstddef>
#include <cstdint>

namespace bridge::payload {

// What printing a payload as JSON comes to.
struct JsonEstimate {
  // In the units of `work`, as measured with protobuf 3.21.
  static constexpr uint64_t kNumberWork = 8;  // packed
  static constexpr uint64_t kTextWork = 64;
  static constexpr uint64_t kMessageWork = 160;
  static constexpr uint64_t kMemberWork = 300;  // of an object or a map
  static constexpr uint64_t kValueWork = 32;

  // The JSON has at least so many bytes, where no field comes twice that counts once.
  size_t bytes_min = 0;
  // How long printing takes beside writing the bytes. A unit is the time of a byte: some 3 ns.
  uint64_t work = 0;

  // Each with what separates it from the next: "0,", "\"\",", "{},", "\"\":".
  void AddNumbers(size_t count) { Add(2 * count, kNumberWork * count); }
  void AddText(size_t bytes) { Add(2 + bytes, kTextWork); }
  void AddMessage() { Add(2, kMessageWork); }
  void AddMember(size_t name_bytes) { Add(3 + name_bytes, kMemberWork); }
  void AddValue() { Add(1, kValueWork); }

  void Add(size_t bytes, uint64_t units) {
    bytes_min += bytes;
    work += units;
  }
};

}  // namespace bridge::payload
