#include "bridge/payload/transcoder.h"

#include <cstdlib>
#include <limits>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/empty.pb.h>
#include <google/protobuf/field_mask.pb.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/wrappers.pb.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "tests/support/files.h"

namespace bridge::payload {
namespace {

using google::protobuf::Any;
using google::protobuf::FileDescriptorSet;
using google::protobuf::ListValue;
using google::protobuf::Struct;
using google::protobuf::Value;
using ::testing::AllOf;
using ::testing::HasSubstr;

// Made by protoc of tests/support/shop.proto and legacy.proto, and of money.proto with them.
std::string ShopSet() { return getenv("BRIDGE_SHOP_DESCRIPTORS"); }

class TranscoderTest : public ::testing::Test {
 protected:
  TranscoderTest() {
    FileDescriptorSet set;
    EXPECT_TRUE(set.ParseFromString(test::ReadFile(ShopSet())));
    for (const google::protobuf::FileDescriptorProto& file : set.file()) {
      EXPECT_NE(pool_.BuildFile(file), nullptr);
    }
  }

  static Transcoder Made(const Transcoder::Options& options) {
    absl::StatusOr<Transcoder> transcoder = Transcoder::Create(options);
    EXPECT_TRUE(transcoder.ok()) << transcoder.status();
    return *std::move(transcoder);
  }

  // A message of the test's descriptor set, in text format.
  std::unique_ptr<google::protobuf::Message> Message(const std::string& type, const std::string& text) {
    std::unique_ptr<google::protobuf::Message> message(factory_.GetPrototype(pool_.FindMessageTypeByName(type))->New());
    google::protobuf::TextFormat::Parser parser;
    parser.AllowPartialMessage(true);
    EXPECT_TRUE(parser.ParseFromString(text, message.get())) << text;
    return message;
  }

  static v1::Event EventOf(const std::string& type, const std::string& bytes) {
    v1::Event event;
    event.mutable_message()->set_type_url(absl::StrCat("type.googleapis.com/", type));
    event.mutable_message()->set_value(bytes);
    return event;
  }
  v1::Event ShopEvent(const std::string& type, const std::string& text) {
    return EventOf(type, Message(type, text)->SerializePartialAsString());
  }
  static v1::Event EventOf(const google::protobuf::Message& packed) {
    v1::Event event;
    event.mutable_message()->PackFrom(packed);
    return event;
  }
  static v1::Event EventOf(Value json) {
    v1::Event event;
    *event.mutable_json() = std::move(json);
    return event;
  }

  std::string TextOf(v1::Event event) const {
    const absl::StatusOr<std::string> text = transcoder_.Transcode(std::move(event));
    EXPECT_TRUE(text.ok()) << text.status();
    return text.value_or("");
  }
  std::string ErrorOf(v1::Event event) const {
    const absl::Status status = transcoder_.Transcode(std::move(event)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return std::string(status.message());
  }

  google::protobuf::DescriptorPool pool_;
  google::protobuf::DynamicMessageFactory factory_{&pool_};
  Transcoder transcoder_ = Made({.descriptor_set_files = {ShopSet()}});
};

Value JsonOf(const std::string& text_format) {
  Value value;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text_format, &value)) << text_format;
  return value;
}

enum class Nest { kLists, kObjects, kBoth };

// A number within `levels` lists or objects.
Value Nested(int levels, Nest nest) {
  Value value;
  value.set_number_value(1);
  for (int i = 0; i < levels; ++i) {
    Value outer;
    if (nest == Nest::kLists || (nest == Nest::kBoth && i % 2 == 0)) {
      outer.mutable_list_value()->add_values()->Swap(&value);
    } else {
      (*outer.mutable_struct_value()->mutable_fields())["k"].Swap(&value);
    }
    value.Swap(&outer);
  }
  return value;
}

std::string Repeated(const std::string& text, int times) {
  std::string repeated;
  for (int i = 0; i < times; ++i) {
    repeated += text;
  }
  return repeated;
}

TEST_F(TranscoderTest, TextStaysAsItIs) {
  const std::string text = " a\r\nb\n\n\xC3\xA9 {\"x\":1}";
  v1::Event event;
  event.set_text(text);
  event.set_topic("kept");
  EXPECT_EQ(*transcoder_.Transcode(std::move(event)), text);
  EXPECT_EQ(event.topic(), "kept");  // NOLINT(bugprone-use-after-move): only the payload is taken
  v1::Event empty;
  empty.set_text("");
  EXPECT_EQ(TextOf(empty), "");
}

TEST_F(TranscoderTest, BinaryIsBase64WithPadding) {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"},
                                                         {"\xFB\xFF", "+/8="}};
  for (const auto& [binary, text] : vectors) {  // RFC 4648 §10, and the two characters that its URL variant has not
    v1::Event event;
    event.set_binary(binary);
    EXPECT_EQ(TextOf(event), text);
  }
}

TEST_F(TranscoderTest, APayloadHasToBeSet) {
  EXPECT_EQ(ErrorOf(v1::Event()), "payload: none is set; set text, binary, json or message");
}

TEST_F(TranscoderTest, JsonIsCompactAndInOrder) {
  EXPECT_EQ(TextOf(EventOf(JsonOf(R"(struct_value {
    fields { key: "z" value { number_value: 42 } }
    fields { key: "a" value { string_value: "x \"y\"\n\303\251" } }
    fields { key: "m" value { list_value {
      values { bool_value: true } values { null_value: NULL_VALUE } values { struct_value {} } values { list_value {} }
    } } }
    fields { key: "" value { number_value: -0.5 } }
  })"))),
            "{\"\":-0.5,\"a\":\"x \\\"y\\\"\\n\xC3\xA9\",\"m\":[true,null,{},[]],\"z\":42}");
  EXPECT_EQ(TextOf(EventOf(JsonOf("null_value: NULL_VALUE"))), "null");
  EXPECT_EQ(TextOf(EventOf(JsonOf("number_value: 1e21"))), "1e+21");
  EXPECT_EQ(TextOf(EventOf(JsonOf("number_value: 9007199254740991"))), "9007199254740991");
  EXPECT_EQ(TextOf(EventOf(JsonOf("string_value: ''"))), "\"\"");
}

TEST_F(TranscoderTest, JsonStringsCannotLeaveTheirQuotes) {
  Value value;
  value.set_string_value(std::string("\0\x01\r\n\"\\</script>\xE2\x80\xA8\x7F", 19));
  const std::string text = TextOf(EventOf(value));
  EXPECT_EQ(text, R"("\u0000\u0001\r\n\"\\\u003c/script\u003e\u2028\u007f")");
}

TEST_F(TranscoderTest, JsonMayHave64Levels) {
  for (const Nest nest : {Nest::kLists, Nest::kObjects, Nest::kBoth}) {
    for (const int levels : {1, 31, 32, 33, 63, 64}) {
      const std::string text = TextOf(EventOf(Nested(levels, nest)));
      EXPECT_EQ(JsonLevels(text), levels);
      if (nest == Nest::kLists) {
        EXPECT_EQ(text, absl::StrCat(std::string(static_cast<size_t>(levels), '['), 1,
                                     std::string(static_cast<size_t>(levels), ']')));
      }
      if (nest == Nest::kObjects) {
        EXPECT_EQ(text, absl::StrCat(Repeated("{\"k\":", levels), 1, Repeated("}", levels)));
      }
    }
    EXPECT_EQ(ErrorOf(EventOf(Nested(65, nest))), "payload.json: its JSON is nested deeper than 64 levels");
    EXPECT_EQ(ErrorOf(EventOf(Nested(140, nest))), "payload.json: its JSON is nested deeper than 64 levels");
  }
}

TEST_F(TranscoderTest, ADeepJsonIsWrittenLikeAShallowOne) {
  Value value = Nested(40, Nest::kLists);
  Value* const beside = value.mutable_list_value()->add_values();
  (*beside->mutable_struct_value()->mutable_fields())["b\"\n"] = Nested(35, Nest::kLists);
  (*beside->mutable_struct_value()->mutable_fields())["a"].set_string_value("x,y]}");
  value.mutable_list_value()->add_values()->set_null_value(google::protobuf::NULL_VALUE);
  EXPECT_EQ(TextOf(EventOf(value)),
            absl::StrCat(std::string(40, '['), 1, std::string(39, ']'), R"(,{"a":"x,y]}","b\"\n":)",
                         std::string(35, '['), 1, std::string(35, ']'), "},null]"));
}

TEST_F(TranscoderTest, NumbersThatJsonHasNotAreRejected) {
  for (const double number : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
                              -std::numeric_limits<double>::infinity()}) {
    Value value;
    value.set_number_value(number);
    EXPECT_EQ(ErrorOf(EventOf(value)), "payload.json: a number in it is NaN or infinite; JSON has none");
    Value list;
    (*list.mutable_list_value()->add_values()->mutable_struct_value()->mutable_fields())["x"] = value;
    EXPECT_THAT(ErrorOf(EventOf(list)), HasSubstr("NaN"));
    EXPECT_THAT(ErrorOf(EventOf(static_cast<const google::protobuf::Message&>(list))), HasSubstr("NaN"));
  }
}

TEST_F(TranscoderTest, ValuesThatAreNotSetAreRejected) {
  EXPECT_THAT(ErrorOf(EventOf(Value())), HasSubstr("payload.json: a google.protobuf.Value in it is not set"));
  EXPECT_THAT(ErrorOf(EventOf(JsonOf("list_value { values {} }"))), HasSubstr("is not set"));
  EXPECT_THAT(ErrorOf(EventOf(JsonOf("struct_value { fields { key: 'x' value {} } }"))), HasSubstr("is not set"));
}

TEST_F(TranscoderTest, UnknownFieldsOfAValueAreDropped) {
  Value value = JsonOf("list_value { values { struct_value {} } }");
  for (google::protobuf::Message* message :
       {static_cast<google::protobuf::Message*>(&value),
        static_cast<google::protobuf::Message*>(value.mutable_list_value()),
        static_cast<google::protobuf::Message*>(
            value.mutable_list_value()->mutable_values(0)->mutable_struct_value())}) {
    message->GetReflection()->MutableUnknownFields(message)->AddVarint(9, 1);
  }
  EXPECT_EQ(TextOf(EventOf(value)), "[{}]");
  Value empty_list;
  empty_list.mutable_list_value()
      ->GetReflection()
      ->MutableUnknownFields(empty_list.mutable_list_value())
      ->AddVarint(9, 1);
  EXPECT_EQ(TextOf(EventOf(empty_list)), "[]");
}

TEST_F(TranscoderTest, AMessageIsItsOwnJsonWithoutItsType) {
  EXPECT_EQ(TextOf(ShopEvent("shop.Order", R"(
    order_id: "o-1" customer_number: 9007199254740993 items { name: "pen" item_count: 2 } items {}
    stock { key: "b" value: 2 } stock { key: "a" value: 1 }
    placed_at { seconds: 1 nanos: 500000000 } state: PAID raw: "\001\002" flags: [true, false] weight: 1.5
    mask { paths: "order_id" } note { value: "n" } price { currency_code: "EUR" units: 5 }
    extra { list_value { values { number_value: 1 } } } replaced { key: 7 value { order_id: "old" } })")),
            R"({"orderId":"o-1","customerNumber":"9007199254740993","items":[{"name":"pen","itemCount":2},{}],)"
            R"("stock":{"a":1,"b":2},"placedAt":"1970-01-01T00:00:01.500Z","state":"PAID","extra":[1],"raw":"AQI=",)"
            R"("flags":[true,false],"weight":1.5,"mask":"orderId","replaced":{"7":{"orderId":"old"}},"note":"n",)"
            R"("price":{"currencyCode":"EUR","units":"5"}})");
  EXPECT_EQ(TextOf(ShopEvent("shop.Order", "")), "{}");
}

TEST_F(TranscoderTest, FieldNamesMayStayAsTheyAre) {
  const Transcoder transcoder = Made({.descriptor_set_files = {ShopSet()}, .json_names = JsonNames::kOriginal});
  EXPECT_EQ(*transcoder.Transcode(ShopEvent("shop.Order", "order_id: 'o' items { item_count: 1 }")),
            R"({"order_id":"o","items":[{"item_count":1}]})");
}

TEST_F(TranscoderTest, WellKnownTypesNeedNoDescriptorSet) {
  transcoder_ = Made({});
  google::protobuf::Timestamp timestamp;
  timestamp.set_seconds(1);
  EXPECT_EQ(TextOf(EventOf(timestamp)), R"("1970-01-01T00:00:01Z")");
  google::protobuf::Duration duration;
  duration.set_nanos(250000000);
  EXPECT_EQ(TextOf(EventOf(duration)), R"("0.250s")");
  google::protobuf::Int64Value number;
  number.set_value(5);
  EXPECT_EQ(TextOf(EventOf(number)), R"("5")");
  const google::protobuf::BytesValue bytes;
  EXPECT_EQ(TextOf(EventOf(bytes)), R"("")");
  EXPECT_EQ(TextOf(EventOf(google::protobuf::Empty())), "{}");
  EXPECT_EQ(TextOf(EventOf(static_cast<const google::protobuf::Message&>(Nested(64, Nest::kLists)))),
            absl::StrCat(std::string(64, '['), 1, std::string(64, ']')));
  EXPECT_EQ(TextOf(EventOf(JsonOf("struct_value { fields { key: 'k' value { bool_value: true } } }").struct_value())),
            R"({"k":true})");
  EXPECT_EQ(TextOf(EventOf(JsonOf("list_value { values { bool_value: true } }").list_value())), "[true]");
  EXPECT_EQ(TextOf(EventOf(Struct())), "{}");
  EXPECT_EQ(TextOf(EventOf(ListValue())), "[]");
  EXPECT_THAT(ErrorOf(EventOf(static_cast<const google::protobuf::Message&>(Value()))), HasSubstr("is not set"));
  EXPECT_THAT(ErrorOf(ShopEvent("shop.Order", "")), HasSubstr("type shop.Order is in none of payload.descriptor_sets"));
}

TEST_F(TranscoderTest, ATypeThatIsNotKnownIsNamed) {
  EXPECT_EQ(ErrorOf(EventOf("shop.Parcel", "")),
            "payload.message: type shop.Parcel is in none of payload.descriptor_sets");
  EXPECT_THAT(ErrorOf(EventOf("shop.Order.StockEntry", "")), HasSubstr("is in none of"));
  EXPECT_THAT(ErrorOf(EventOf("shop.Order.State", "")), HasSubstr("is in none of"));
  EXPECT_THAT(ErrorOf(EventOf("evil\n\xC3\xA9\x1b", "")), HasSubstr(R"(type evil\n\xc3\xa9\x1b is in)"));
  EXPECT_LT(ErrorOf(EventOf(std::string(100'000, 'x'), "")).size(), 400U);
  v1::Event event;
  event.mutable_message();
  EXPECT_EQ(ErrorOf(event),
            "payload.message: type_url \"\" names no type; write type.googleapis.com/ and the type's full name");
  event.mutable_message()->set_type_url("shop.Order");
  EXPECT_THAT(ErrorOf(event), HasSubstr("type_url \"shop.Order\" names no type"));
  event.mutable_message()->set_type_url("types.example.com/v1/shop.Order");
  EXPECT_EQ(TextOf(event), "{}");
}

TEST_F(TranscoderTest, BytesThatDoNotParseAreRejectedWithTheType) {
  const std::string order = "payload.message of type shop.Order: ";
  for (const std::string& bytes : {
           std::string("\xFF"), std::string("\x0A\x05hi"), std::string("\x08\x80"), std::string(1, '\0'),
           std::string("\x52\x02\x80\x80"),  // packed booleans that end within one; protobuf's JSON would never return
           std::string("\x1A\x02\x0A\x05"),  // an item whose name is longer than the item
           std::string("\x1A\xFF\xFF\xFF\xFF\x0F"),  // an item of 4 GiB
           std::string("\x9B\x01"),                  // a group that has no end
           std::string("\x9C\x01"),                  // the end of a group that has no start
           std::string("\x42\x01\x0C"),              // a Value that is the end of a group
       }) {
    EXPECT_THAT(ErrorOf(EventOf("shop.Order", bytes)), AllOf(HasSubstr(order), HasSubstr("does not parse")))
        << absl::BytesToHexString(bytes);
  }
  EXPECT_THAT(ErrorOf(EventOf("google.protobuf.Struct", "\x0A\x7F")),
              HasSubstr("payload.message of type google.protobuf.Struct: does not parse"));
}

TEST_F(TranscoderTest, TextThatIsNotUtf8IsRejected) {
  EXPECT_EQ(ErrorOf(EventOf("shop.Order", "\x0A\x01\xFF")),
            "payload.message of type shop.Order: does not parse: shop.Order.order_id is not UTF-8");
  EXPECT_THAT(ErrorOf(EventOf("shop.Legacy", "\x0A\x01x\x12\x01\xFF")), HasSubstr("shop.Legacy.name is not UTF-8"));
  EXPECT_THAT(ErrorOf(EventOf("google.protobuf.StringValue", "\x0A\x01\xFF")), HasSubstr("is not UTF-8"));
  EXPECT_THAT(ErrorOf(EventOf("shop.Order", "\x22\x03\x0A\x01\xFF")), HasSubstr("key is not UTF-8"));
}

TEST_F(TranscoderTest, AMessageThatIsNotWrittenInOnePieceIsOne) {
  const std::string twice = absl::StrCat(
      Message("shop.Order", "order_id: 'first' items { name: 'a' } stock { key: 'k' value: 1 }")->SerializeAsString(),
      Message("shop.Order", "order_id: 'last' items { name: 'b' } stock { key: 'k' value: 2 }")->SerializeAsString());
  EXPECT_EQ(TextOf(EventOf("shop.Order", twice)),
            R"({"orderId":"last","items":[{"name":"a"},{"name":"b"}],"stock":{"k":2}})");
  EXPECT_EQ(TextOf(EventOf("shop.Order", std::string("\x52\x01\x01\x50\x00\x52\x01\x01", 8))),
            R"({"flags":[true,false,true]})");
}

TEST_F(TranscoderTest, UnknownFieldsAreLeftOut) {
  const std::string unknown = "\xF8\x07\x01\xFA\x07\x03xyz\xFB\x07\x08\x01\xFC\x07";
  EXPECT_EQ(TextOf(EventOf("shop.Order", absl::StrCat(unknown, "\x0A\x01x", unknown))), R"({"orderId":"x"})");
  EXPECT_EQ(TextOf(EventOf("google.protobuf.Int64Value", absl::StrCat(unknown, "\x08\x05", unknown))), R"("5")");
  EXPECT_EQ(TextOf(EventOf("google.protobuf.ListValue", unknown)), "[]");
  const std::string packed = absl::StrCat("\x0A\x2E", "type.googleapis.com/google.protobuf.Int64Value", "\x12",
                                          std::string(1, static_cast<char>(2 + unknown.size())), unknown, "\x08\x05");
  EXPECT_EQ(TextOf(EventOf("google.protobuf.Any", packed)),
            R"({"@type":"type.googleapis.com/google.protobuf.Int64Value","value":"5"})");
}

TEST_F(TranscoderTest, APackedMessageMayHoldOthers) {
  EXPECT_EQ(TextOf(ShopEvent("shop.Order", R"(detail { type_url: "x.example/shop.Money" value: "\n\003EUR" }
                                            details { [type.googleapis.com/google.protobuf.Value] { bool_value: true } }
                                            details {})")),
            R"({"detail":{"@type":"x.example/shop.Money","currencyCode":"EUR"},)"
            R"("details":[{"@type":"type.googleapis.com/google.protobuf.Value","value":true},{}]})");
  EXPECT_EQ(ErrorOf(ShopEvent("shop.Order", R"(detail { type_url: "x/shop.Parcel" value: "" })")),
            "payload.message of type shop.Order: type shop.Parcel is in none of payload.descriptor_sets");
  EXPECT_THAT(ErrorOf(ShopEvent("shop.Order", R"(detail { value: "x" })")), HasSubstr("names no type"));
  EXPECT_THAT(ErrorOf(ShopEvent("shop.Order", R"(details { type_url: "x/shop.Money" value: "\377" })")),
              AllOf(HasSubstr("type shop.Order"), HasSubstr("does not parse"), HasSubstr("shop.Money")));
}

TEST_F(TranscoderTest, AMessageWithoutJsonIsRejected) {
  EXPECT_THAT(ErrorOf(ShopEvent("shop.Order", "placed_at { seconds: 999999999999 }")),
              AllOf(HasSubstr("payload.message of type shop.Order: has no JSON: "), HasSubstr("Timestamp")));
  EXPECT_THAT(
      ErrorOf(ShopEvent("shop.Order", "detail { [type.googleapis.com/google.protobuf.Timestamp] { nanos: -1 } }")),
      HasSubstr("Timestamp"));
  EXPECT_THAT(ErrorOf(ShopEvent("shop.Order", "extra {}")), HasSubstr("is not set"));
  EXPECT_THAT(ErrorOf(ShopEvent("shop.Order", "extra { list_value { values { number_value: nan } } }")),
              HasSubstr("NaN"));
  EXPECT_THAT(ErrorOf(ShopEvent("shop.Legacy", "name: 'x'")), HasSubstr("lacks required fields of shop.Legacy"));
  EXPECT_THAT(ErrorOf(ShopEvent("shop.Legacy", "id: 'x' Address { street: 'y' }")),
              HasSubstr("shop.Legacy.address is a proto2 group"));
  EXPECT_EQ(TextOf(ShopEvent("shop.Legacy", "id: 'x' name: 'y'")), R"({"id":"x","name":"y"})");
}

TEST_F(TranscoderTest, FloatsOfAMessageMayBeWhatNumbersAreNot) {
  EXPECT_EQ(TextOf(ShopEvent("shop.Order", "weight: nan")), R"({"weight":"NaN"})");
  EXPECT_EQ(TextOf(ShopEvent("shop.Order", "weight: -inf")), R"({"weight":"-Infinity"})");
}

TEST_F(TranscoderTest, AMessageMayHave64Levels) {
  const auto nested = [this](int levels, const std::string& open) {
    return ShopEvent("shop.Order", absl::StrCat(Repeated(absl::StrCat(open, " { "), levels), Repeated("}", levels)));
  };
  EXPECT_EQ(JsonLevels(TextOf(nested(63, "parent"))), 64);
  EXPECT_THAT(ErrorOf(nested(64, "parent")), HasSubstr("nested deeper than 64 levels"));
  EXPECT_EQ(JsonLevels(TextOf(nested(31, "children"))), 63);
  EXPECT_THAT(ErrorOf(nested(32, "children")), HasSubstr("nested deeper than 64 levels"));
  EXPECT_THAT(ErrorOf(nested(1000, "parent")), HasSubstr("nested deeper than 64 levels"));
}

TEST_F(TranscoderTest, AnysInAnysAreBoundedToo) {
  const auto nested = [](int levels) {
    std::string bytes;
    for (int i = 0; i < levels; ++i) {
      Any any;
      any.set_type_url("/google.protobuf.Any");
      any.set_value(std::move(bytes));
      bytes = any.SerializeAsString();
    }
    return EventOf("google.protobuf.Any", bytes);
  };
  EXPECT_EQ(JsonLevels(TextOf(nested(64))), 64);
  EXPECT_THAT(ErrorOf(nested(65)), HasSubstr("nested deeper than 64 levels"));
  EXPECT_THAT(ErrorOf(nested(2000)), HasSubstr("nested deeper than 64 levels"));
}

TEST_F(TranscoderTest, AValueInsideAMessageIsLimitedByProtobuf) {
  const auto nested = [this](int levels) {
    return ShopEvent("shop.Order", absl::StrCat("extra { ", Repeated("list_value { values { ", levels),
                                                "bool_value: true ", Repeated("}}", levels), "}"));
  };
  EXPECT_EQ(JsonLevels(TextOf(nested(31))), 32);
  EXPECT_THAT(ErrorOf(nested(33)), HasSubstr("has no JSON: Message too deep"));
}

TEST_F(TranscoderTest, NothingIsLongerThanAFrame) {
  transcoder_ = Made({.descriptor_set_files = {ShopSet()}, .bytes_max = 1000});
  const std::string error = "payload: its text is longer than 1000 bytes (http.max_frame_bytes); send less";
  v1::Event event;
  event.set_text(std::string(1000, 'x'));
  EXPECT_EQ(TextOf(event).size(), 1000U);
  event.set_text(std::string(1001, 'x'));
  EXPECT_EQ(ErrorOf(event), error);
  event.set_binary(std::string(750, 'x'));
  EXPECT_EQ(TextOf(event).size(), 1000U);
  event.set_binary(std::string(751, 'x'));
  EXPECT_EQ(ErrorOf(event), error);
  event.mutable_json()->set_string_value(std::string(998, 'x'));
  EXPECT_EQ(TextOf(event).size(), 1000U);
  event.mutable_json()->set_string_value(std::string(999, 'x'));
  EXPECT_EQ(ErrorOf(event), error);
  event.mutable_json()->set_string_value(std::string(200, '\x01'));
  EXPECT_EQ(ErrorOf(event), error);
  *event.mutable_json() = Nested(64, Nest::kLists);
  event.mutable_json()->mutable_list_value()->add_values()->set_string_value(std::string(1000, 'x'));
  EXPECT_EQ(ErrorOf(event), error);
  EXPECT_EQ(ErrorOf(ShopEvent("shop.Order", absl::StrCat("order_id: '", std::string(1000, 'x'), "'"))), error);
  EXPECT_EQ(TextOf(ShopEvent("shop.Order", absl::StrCat("order_id: '", std::string(1000 - 14, 'x'), "'"))).size(),
            1000U);
  EXPECT_EQ(ErrorOf(ShopEvent("shop.Order", absl::StrCat("order_id: '", std::string(1001 - 14, 'x'), "'"))), error);
  EXPECT_EQ(ErrorOf(EventOf("shop.Order", absl::StrCat("\x52\xE8\x07", std::string(1000, '\x01')))), error);
}

TEST_F(TranscoderTest, IsUsedByManyThreads) {
  const v1::Event order = ShopEvent(
      "shop.Order", "order_id: 'x' detail { [type.googleapis.com/shop.Money] { units: 1 } } extra { number_value: 1 }");
  const v1::Event json = EventOf(Nested(40, Nest::kBoth));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) {
        EXPECT_TRUE(transcoder_.Transcode(v1::Event(order)).ok());
        EXPECT_TRUE(transcoder_.Transcode(v1::Event(json)).ok());
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

}  // namespace
}  // namespace bridge::payload
