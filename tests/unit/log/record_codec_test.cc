#include "bridge/log/record_codec.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bridge/log/v1/record.pb.h"

namespace bridge::log {
namespace {

TEST(RecordCodecTest, ARecordComesBackAsItWasStored) {
  Record record;
  record.topic = "orders.eu";
  record.type = "update";
  record.data = "line 1\n\xE2\x82\xAC";
  record.retry = absl::Milliseconds(1500);
  record.time = absl::FromUnixNanos(1'700'000'000'123'456'789);
  record.publisher = "shop";
  record.idempotency_key = "key";
  const absl::StatusOr<Record> read = DecodeRecord(EncodeRecord(record));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->topic, record.topic);
  EXPECT_EQ(read->type, record.type);
  EXPECT_EQ(read->data, record.data);
  EXPECT_EQ(read->retry, record.retry);
  EXPECT_EQ(read->time, record.time);
  EXPECT_EQ(read->publisher, record.publisher);
  EXPECT_EQ(read->idempotency_key, record.idempotency_key);
  EXPECT_FALSE(read->ephemeral);
}

TEST(RecordCodecTest, WhatIsNoRecordIsDataLoss) {
  v1::Record stored;
  stored.set_topic("orders");
  EXPECT_EQ(DecodeRecord(stored.SerializeAsString()).status().code(), absl::StatusCode::kDataLoss) << "no version";
  stored.set_version(1);
  EXPECT_TRUE(DecodeRecord(stored.SerializeAsString()).ok());
  stored.set_topic("orders..eu");
  EXPECT_EQ(DecodeRecord(stored.SerializeAsString()).status().code(), absl::StatusCode::kDataLoss) << "no topic";
  stored.set_topic("orders");
  // Somebody else who may write to the store must not be able to forge what the bridge itself says.
  for (const std::string& call : {std::string(), std::string("what it says about a call")}) {
    stored.set_call(call);
    for (const char* type : {"bridge.gap", "a\nid: 7", "a\r"}) {
      stored.set_type(type);
      EXPECT_EQ(DecodeRecord(stored.SerializeAsString()).status().code(), absl::StatusCode::kDataLoss) << type << call;
    }
    stored.set_type(std::string(kCallEndType));
    EXPECT_EQ(DecodeRecord(stored.SerializeAsString()).ok(), !call.empty());
  }
  for (const std::string& bytes : {std::string(), std::string("hello"), std::string(100, '\xFF')}) {
    EXPECT_EQ(DecodeRecord(bytes).status().code(), absl::StatusCode::kDataLoss) << bytes;
  }
}

TEST(RecordCodecTest, ANewerFormatIsNotGuessedAt) {
  v1::Record stored;
  stored.set_version(2);
  stored.set_topic("orders");
  EXPECT_EQ(DecodeRecord(stored.SerializeAsString()).status().code(), absl::StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace bridge::log
