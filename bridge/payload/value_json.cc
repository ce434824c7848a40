#include "bridge/payload/value_json.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "bridge/base/status_macros.h"

namespace bridge::payload {
namespace {

using google::protobuf::ListValue;
using google::protobuf::Struct;
using google::protobuf::Value;

// protobuf 3.21 prints no Value with more levels than this: it counts two messages for each, and stops at 64.
constexpr int kPrinterLevelsMax = 32;

// Checks a Value, and finds the ones in it that the printer cannot print.
class Surveyor {
 public:
  // How many levels `value`, which stands on `level`, has. The recursion is bounded by kJsonLevelsMax.
  absl::StatusOr<int> LevelsOf(const Value& value, int level) {
    estimate_.AddValue();
    estimate_.Add(value.string_value().size(), 0);
    NoteUnknownFields(value);
    switch (value.kind_case()) {
      case Value::KIND_NOT_SET:
        return UnsetValueError();
      case Value::kNumberValue:
        return std::isfinite(value.number_value()) ? absl::StatusOr<int>(0) : NotFiniteError();
      case Value::kListValue:
      case Value::kStructValue:
        return LevelsOfContainer(value, level + 1);
      default:
        return 0;
    }
  }

  const JsonEstimate& estimate() const { return estimate_; }
  bool has_unknown_fields() const { return has_unknown_fields_; }

  // `value` was seen, and has more than kPrinterLevelsMax levels.
  bool IsDeep(const Value& value) const { return deep_.contains(&value); }

 private:
  absl::StatusOr<int> LevelsOfContainer(const Value& value, int level) {
    if (level > kJsonLevelsMax) {
      return TooDeepError();
    }
    NoteUnknownFields(value.list_value());
    NoteUnknownFields(value.struct_value());
    int inner_levels = 0;
    for (const Value& element : value.list_value().values()) {
      ASSIGN_OR_RETURN(const int levels, LevelsOf(element, level));
      inner_levels = std::max(inner_levels, levels);
    }
    for (const auto& [name, member] : value.struct_value().fields()) {
      estimate_.AddMember(name.size());
      ASSIGN_OR_RETURN(const int levels, LevelsOf(member, level));
      inner_levels = std::max(inner_levels, levels);
    }
    if (inner_levels + 1 > kPrinterLevelsMax) {
      deep_.insert(&value);
    }
    return inner_levels + 1;
  }

  void NoteUnknownFields(const google::protobuf::Message& message) {
    has_unknown_fields_ = has_unknown_fields_ || !message.GetReflection()->GetUnknownFields(message).empty();
  }

  JsonEstimate estimate_;
  bool has_unknown_fields_ = false;
  absl::flat_hash_set<const Value*> deep_;
};

// Prints what the printer can, and around it the outer lists and objects of a deep Value.
class DeepPrinter {
 public:
  DeepPrinter(const Surveyor& surveyor, const JsonPrinter& printer, BoundedOutput& output)
      : surveyor_(surveyor), printer_(printer), output_(output) {}

  absl::Status Print(const Value& value) const {
    if (output_.is_over()) {
      return absl::OkStatus();  // its owner tells, and the rest would be dropped
    }
    if (!surveyor_.IsDeep(value)) {
      return printer_.Print(value, output_);
    }
    return value.has_list_value() ? PrintList(value.list_value()) : PrintObject(value.struct_value());
  }

 private:
  absl::Status PrintList(const ListValue& list) const {
    absl::string_view separator = "[";
    for (const Value& element : list.values()) {
      output_.Append(separator);
      RETURN_IF_ERROR(Print(element));
      separator = ",";
    }
    output_.Append("]");
    return absl::OkStatus();
  }

  absl::Status PrintObject(const Struct& object) const {
    const std::map<std::string_view, std::reference_wrapper<const Value>> members(object.fields().begin(),
                                                                                  object.fields().end());
    absl::string_view separator = "{";
    for (const auto& [name, member] : members) {
      output_.Append(separator);
      Value name_value;
      name_value.set_string_value(std::string(name));
      RETURN_IF_ERROR(printer_.Print(name_value, output_));
      output_.Append(":");
      RETURN_IF_ERROR(Print(member));
      separator = ",";
    }
    output_.Append("}");
    return absl::OkStatus();
  }

  const Surveyor& surveyor_;
  const JsonPrinter& printer_;
  BoundedOutput& output_;
};

}  // namespace

absl::Status PrintValue(Value& value, const JsonPrinter& printer, BoundedOutput& output, JsonEstimate& estimate) {
  Surveyor surveyor;
  const absl::Status surveyed = surveyor.LevelsOf(value, 0).status();
  estimate.Add(surveyor.estimate().bytes_min, surveyor.estimate().work);
  RETURN_IF_ERROR(surveyed);
  output.Expect(surveyor.estimate().bytes_min);
  if (output.is_over()) {
    return absl::OkStatus();
  }
  if (surveyor.has_unknown_fields()) {
    value.DiscardUnknownFields();
  }
  return DeepPrinter(surveyor, printer, output).Print(value);
}

}  // namespace bridge::payload
