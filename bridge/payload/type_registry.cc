#include "bridge/payload/type_registry.h"

#include <cerrno>
#include <cstddef>
#include <fstream>
#include <map>
#include <utility>

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/empty.pb.h>
#include <google/protobuf/field_mask.pb.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/util/message_differencer.h>
#include <google/protobuf/util/type_resolver_util.h>
#include <google/protobuf/wrappers.pb.h>

#include "absl/strings/str_cat.h"

#include "bridge/base/shown.h"
#include "bridge/base/status_macros.h"

namespace bridge::payload {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptorProto;
using google::protobuf::FileDescriptorSet;
using google::protobuf::util::TypeResolver;

// Far more than the API of a large company.
constexpr size_t kDescriptorSetBytesMax = size_t{64} << 20;
constexpr size_t kTypeShownMax = 200;
constexpr absl::string_view kUrlPrefix = "type.googleapis.com";

// The part of a type URL that counts: what is behind the last slash. Empty where there is none.
absl::string_view TypeNameOf(absl::string_view type_url) {
  const size_t slash = type_url.rfind('/');
  return slash == absl::string_view::npos ? "" : type_url.substr(slash + 1);
}

// Resolves URLs with any prefix, where protobuf's own resolver wants its one.
class AnyPrefixResolver : public TypeResolver {
 public:
  explicit AnyPrefixResolver(const DescriptorPool* pool)
      : resolver_(google::protobuf::util::NewTypeResolverForDescriptorPool(std::string(kUrlPrefix), pool)) {}

  google::protobuf::util::Status ResolveMessageType(const std::string& type_url,
                                                    google::protobuf::Type* type) override {
    return resolver_->ResolveMessageType(absl::StrCat(kUrlPrefix, "/", TypeNameOf(type_url)), type);
  }
  google::protobuf::util::Status ResolveEnumType(const std::string& type_url, google::protobuf::Enum* type) override {
    return resolver_->ResolveEnumType(absl::StrCat(kUrlPrefix, "/", TypeNameOf(type_url)), type);
  }

 private:
  const std::unique_ptr<TypeResolver> resolver_;
};

class ErrorText : public DescriptorPool::ErrorCollector {
 public:
  void AddError(const std::string& file, const std::string& element, const google::protobuf::Message* /*descriptor*/,
                ErrorLocation /*location*/, const std::string& message) override {
    if (text_.empty()) {  // the first one explains the others
      text_ = absl::StrCat(file, ": ", element, ": ", message);
    }
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

absl::StatusOr<FileDescriptorSet> ReadDescriptorSet(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string bytes;
  std::vector<char> buffer(size_t{64} << 10);
  while (file && bytes.size() <= kDescriptorSetBytesMax) {
    file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    bytes.append(buffer.data(), static_cast<size_t>(file.gcount()));
  }
  if (!file.eof() && bytes.size() <= kDescriptorSetBytesMax) {
    return absl::ErrnoToStatus(errno, absl::StrCat("payload.descriptor_sets: ", path, " cannot be read"));
  }
  FileDescriptorSet set;
  if (bytes.size() > kDescriptorSetBytesMax || !set.ParseFromString(bytes) || set.file().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("payload.descriptor_sets: ", path,
                     " is no descriptor set; make it with protoc --include_imports --descriptor_set_out"));
  }
  return set;
}

// Puts the files of descriptor sets together, and into a pool.
class PoolBuilder {
 public:
  PoolBuilder() {
    for (const google::protobuf::Descriptor* type :
         {google::protobuf::Any::descriptor(), google::protobuf::Duration::descriptor(),
          google::protobuf::Empty::descriptor(), google::protobuf::FieldMask::descriptor(),
          google::protobuf::Struct::descriptor(), google::protobuf::Timestamp::descriptor(),
          google::protobuf::StringValue::descriptor()}) {
      File& file = files_[type->file()->name()];
      type->file()->CopyTo(&file.proto);
      file.is_well_known = true;
    }
  }

  absl::Status AddSet(const std::string& path) {
    ASSIGN_OR_RETURN(FileDescriptorSet set, ReadDescriptorSet(path));
    for (FileDescriptorProto& proto : *set.mutable_file()) {
      proto.clear_source_code_info();
      const auto [known, is_new] = files_.try_emplace(proto.name());
      if (is_new) {
        known->second.set_path = path;
        known->second.proto.Swap(&proto);
      } else if (!known->second.is_well_known &&  // protobuf's JSON relies on its own
                 !google::protobuf::util::MessageDifferencer::Equals(known->second.proto, proto)) {
        return absl::InvalidArgumentError(absl::StrCat("payload.descriptor_sets: ", path, " and ",
                                                       known->second.set_path, " have different versions of ",
                                                       proto.name()));
      }
    }
    return absl::OkStatus();
  }

  absl::Status BuildInto(DescriptorPool& pool) {
    for (auto& [name, file] : files_) {
      RETURN_IF_ERROR(Build(name, file, pool));
    }
    return absl::OkStatus();
  }

 private:
  enum class Progress : uint8_t { kWaiting, kStarted, kBuilt };

  struct File {
    FileDescriptorProto proto;
    std::string set_path;
    bool is_well_known = false;
    Progress progress = Progress::kWaiting;
  };

  // Builds a file after those that it imports.
  absl::Status Build(const std::string& name, File& file, DescriptorPool& pool) {
    if (file.progress == Progress::kBuilt) {
      return absl::OkStatus();
    }
    if (file.progress == Progress::kStarted) {
      return Unusable(file, absl::StrCat(name, " imports itself"));
    }
    file.progress = Progress::kStarted;
    for (const std::string& import : file.proto.dependency()) {
      const auto imported = files_.find(import);
      if (imported == files_.end()) {
        return Unusable(file, absl::StrCat(name, " imports ", import,
                                           ", which no descriptor set has; make it with protoc --include_imports"));
      }
      RETURN_IF_ERROR(Build(import, imported->second, pool));
    }
    ErrorText errors;
    if (pool.BuildFileCollectingErrors(file.proto, &errors) == nullptr) {
      return Unusable(file, errors.text());
    }
    file.progress = Progress::kBuilt;
    return absl::OkStatus();
  }

  static absl::Status Unusable(const File& file, absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat("payload.descriptor_sets: ", file.set_path, ": ", why));
  }

  std::map<std::string, File> files_;
};

}  // namespace

TypeRegistry::TypeRegistry() : resolver_(std::make_unique<AnyPrefixResolver>(&pool_)) {}

absl::StatusOr<std::unique_ptr<const TypeRegistry>> TypeRegistry::Create(
    const std::vector<std::string>& descriptor_set_files) {
  PoolBuilder builder;
  for (const std::string& path : descriptor_set_files) {
    RETURN_IF_ERROR(builder.AddSet(path));
  }
  std::unique_ptr<TypeRegistry> types(new TypeRegistry);
  RETURN_IF_ERROR(builder.BuildInto(types->pool_));
  return types;
}

absl::StatusOr<const google::protobuf::Descriptor*> TypeRegistry::Find(absl::string_view type_url) const {
  const absl::string_view name = TypeNameOf(type_url);
  if (name.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("type_url ", base::Quoted(type_url, kTypeShownMax),
                     " names no type; write type.googleapis.com/ and the type's full name"));
  }
  const google::protobuf::Descriptor* const type = pool_.FindMessageTypeByName(std::string(name));
  if (type == nullptr || type->options().map_entry()) {
    return absl::InvalidArgumentError(
        absl::StrCat("type ", base::Shown(name, kTypeShownMax), " is in none of payload.descriptor_sets"));
  }
  return type;
}

std::unique_ptr<google::protobuf::Message> TypeRegistry::New(const google::protobuf::Descriptor& type) const {
  return std::unique_ptr<google::protobuf::Message>(factory_.GetPrototype(&type)->New());
}

}  // namespace bridge::payload
