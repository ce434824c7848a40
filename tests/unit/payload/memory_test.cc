// What a publisher can make the transcoder hold while it works, counted by this program's own allocator.
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <malloc.h>
#include <new>
#include <string>
#include <utility>

#include <google/protobuf/any.pb.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

#include "bridge/payload/transcoder.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)  // whose own allocator cannot be replaced
#define BRIDGE_ALLOCATIONS_NOT_COUNTED
#endif
#endif

namespace {

std::atomic<size_t> held_bytes = 0;
std::atomic<size_t> held_bytes_peak = 0;

#ifndef BRIDGE_ALLOCATIONS_NOT_COUNTED

void* Allocate(size_t size) {
  void* const block = std::malloc(size);
  if (block == nullptr) {
    throw std::bad_alloc();
  }
  const size_t held = held_bytes += malloc_usable_size(block);
  size_t peak = held_bytes_peak;
  while (peak < held && !held_bytes_peak.compare_exchange_weak(peak, held)) {
  }
  return block;
}

void Free(void* block) {
  if (block != nullptr) {
    held_bytes -= malloc_usable_size(block);
    std::free(block);
  }
}

#endif

}  // namespace

#ifndef BRIDGE_ALLOCATIONS_NOT_COUNTED
void* operator new(size_t size) { return Allocate(size); }
void* operator new[](size_t size) { return Allocate(size); }
void operator delete(void* block) noexcept { Free(block); }
void operator delete[](void* block) noexcept { Free(block); }
void operator delete(void* block, size_t) noexcept { Free(block); }
void operator delete[](void* block, size_t) noexcept { Free(block); }
#endif

namespace bridge::payload {
namespace {

constexpr size_t kFrameBytes = size_t{64} << 10;
constexpr size_t kPayloadBytes = size_t{4} << 20;  // what a request may have

class MemoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
#ifdef BRIDGE_ALLOCATIONS_NOT_COUNTED
    GTEST_SKIP() << "allocations cannot be counted here";
#endif
  }

  // The most that is held at once, beside the event, while a message of `type` is rejected.
  size_t PeakOf(const std::string& type, std::string bytes) {
    v1::Event event;
    event.mutable_message()->set_type_url(absl::StrCat("type.googleapis.com/", type));
    event.mutable_message()->set_value(std::move(bytes));
    const size_t before = held_bytes;
    held_bytes_peak = before;
    const absl::StatusOr<std::string> text = transcoder_.Transcode(std::move(event));
    EXPECT_FALSE(text.ok());
    return held_bytes_peak - before;
  }

  static std::string Repeated(const std::string& piece, size_t bytes) {
    std::string repeated;
    repeated.reserve(bytes + piece.size());
    while (repeated.size() < bytes) {
      repeated += piece;
    }
    return repeated;
  }

  Transcoder transcoder_ =
      *Transcoder::Create({.descriptor_set_files = {getenv("BRIDGE_SHOP_DESCRIPTORS")}, .bytes_max = kFrameBytes});
};

// A message may take 64 times a frame's bytes, and there are its bytes, its bytes in order and the text beside it.
constexpr size_t kHeldBytesMax = 64 * kFrameBytes + 3 * kPayloadBytes;

TEST_F(MemoryTest, ManyEmptyMessagesOfAWideType) {
  EXPECT_LT(PeakOf("shop.Wide", Repeated(std::string("\x0A\x00", 2), kPayloadBytes)), kHeldBytesMax);
}

TEST_F(MemoryTest, ManyEmptyValues) {
  EXPECT_LT(PeakOf("google.protobuf.ListValue", Repeated(std::string("\x0A\x00", 2), kPayloadBytes)), kHeldBytesMax);
  EXPECT_LT(PeakOf("google.protobuf.ListValue", Repeated(std::string("\x0A\x02\x08\x00", 4), kPayloadBytes)),
            kHeldBytesMax);
}

TEST_F(MemoryTest, ManyPackedBooleans) {
  std::string bytes = "\x52\x80\x80\x80\x01";  // 2 MiB of them
  bytes += std::string(size_t{2} << 20, '\x01');
  EXPECT_LT(PeakOf("shop.Order", bytes), kHeldBytesMax);
}

TEST_F(MemoryTest, ManyMapEntries) {
  std::string bytes;
  for (int i = 0; bytes.size() < kPayloadBytes; ++i) {
    const std::string key = absl::StrCat(i);
    absl::StrAppend(&bytes, std::string(1, '\x22'), std::string(1, static_cast<char>(key.size() + 2)), "\x0A",
                    std::string(1, static_cast<char>(key.size())), key);
  }
  EXPECT_LT(PeakOf("shop.Order", bytes), kHeldBytesMax);
}

TEST_F(MemoryTest, AnysInAnysAroundALargeText) {
  std::string bytes(kPayloadBytes, 'x');
  for (int i = 0; i < 60; ++i) {
    google::protobuf::Any any;
    any.set_type_url(i == 0 ? "/google.protobuf.BytesValue" : "/google.protobuf.Any");
    any.set_value(std::move(bytes));
    bytes = any.SerializeAsString();
  }
  EXPECT_LT(PeakOf("google.protobuf.Any", bytes), kHeldBytesMax);
}

TEST_F(MemoryTest, ManyAnysWithUrlsOfTheirOwn) {
  std::string bytes;
  for (int i = 0; bytes.size() < kPayloadBytes; ++i) {
    const std::string url = absl::StrCat(i, "/shop.Order");
    const std::string any =
        absl::StrCat("\x0A", std::string(1, static_cast<char>(url.size())), url, "\x12\x02\x0A", std::string(1, '\0'));
    absl::StrAppend(&bytes, "\x8A\x01", std::string(1, static_cast<char>(any.size())), any);
  }
  EXPECT_LT(PeakOf("shop.Order", bytes), kHeldBytesMax);
}

TEST_F(MemoryTest, ManyUnknownFields) {
  EXPECT_LT(PeakOf("shop.Order", Repeated(std::string("\xF8\x07\x01", 3), kPayloadBytes)), kHeldBytesMax);
  EXPECT_LT(PeakOf("shop.Order", Repeated(std::string("\xFB\x07\x08\x01\xFC\x07", 6), kPayloadBytes)), kHeldBytesMax);
  EXPECT_LT(PeakOf("shop.Order", Repeated(std::string("\xFA\x07\x00", 3), kPayloadBytes)), kHeldBytesMax);
}

}  // namespace
}  // namespace bridge::payload
