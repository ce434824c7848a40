#include "bridge/auth/key_files.h"

#include <filesystem>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/files.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tokens.h"

namespace bridge::auth {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class KeyFilesTest : public ::testing::Test {
 protected:
  std::string PathOf(const std::string& name) const { return absl::StrCat(folder_.path(), "/", name); }
  std::string Write(const std::string& name, const std::string& bytes) const {
    test::ReplaceFile(PathOf(name), bytes);
    return PathOf(name);
  }

  static KeyFile Secret(const std::string& path, const std::string& kid = "") {
    return {.path = path, .name = {.kid = kid, .algorithm = Algorithm::kHs256}};
  }
  static std::string ErrorOf(const absl::Status& status) { return std::string(status.message()); }
  static bool Verifies(const KeyFiles& files, const std::string& secret) {
    for (const Key* const key : files.Keys()->Candidates(Algorithm::kHs256, std::nullopt)) {
      if (key->Verifies(Algorithm::kHs256, "text", Hmac(Algorithm::kHs256, secret).Of("text"))) {
        return true;
      }
    }
    return false;
  }

  const test::TempDir folder_;
  const std::string secret_ = std::string(32, 'a');
  const std::string other_secret_ = std::string(32, 'b');
};

TEST_F(KeyFilesTest, ASecretIsTheFilesBytesWithoutOneLineFeedAtTheEnd) {
  const auto verifies = [&](const std::string& bytes, const std::string& secret) {
    const auto files = KeyFiles::Open({Secret(Write("secret", bytes))}, "");
    return files.ok() && Verifies(**files, secret);
  };
  EXPECT_TRUE(verifies(secret_, secret_));
  EXPECT_TRUE(verifies(secret_ + "\n", secret_));
  EXPECT_TRUE(verifies(secret_ + "\n\n", secret_ + "\n"));
  EXPECT_FALSE(verifies(secret_ + "\n\n", secret_));
  EXPECT_TRUE(verifies(secret_ + "\r\n", secret_ + "\r"));
  EXPECT_TRUE(verifies(" " + secret_ + " ", " " + secret_ + " "));
  const std::string binary = secret_ + std::string("\0\xFF", 2);
  EXPECT_TRUE(verifies(binary, binary));
}

TEST_F(KeyFilesTest, ErrorsNameTheFileAndSayWhatWouldBeRight) {
  const auto error = [&](const KeyFile& file) { return ErrorOf(KeyFiles::Open({file}, "").status()); };
  EXPECT_THAT(error(Secret(PathOf("none"))), AllOf(HasSubstr(PathOf("none")), HasSubstr("No such file")));
  EXPECT_THAT(error(Secret(folder_.path())), HasSubstr("is no file"));
  EXPECT_THAT(error(Secret(Write("short", std::string(31, 'a') + "\n"))),
              AllOf(HasSubstr(PathOf("short")), HasSubstr("has 31 bytes; a secret for HS256 has at least 32")));
  EXPECT_THAT(error(Secret(Write("large", std::string(70'000, 'a')))), HasSubstr("is larger than 65536 bytes"));
  const KeyFile rsa = {.path = Write("pem", test::MakeEcKeyPair("P-256").public_pem),
                       .name = {.kid = "", .algorithm = Algorithm::kRs256}};
  EXPECT_THAT(error(rsa), AllOf(HasSubstr(PathOf("pem")), HasSubstr("is a P-256 key; RS256 takes an RSA key")));
  EXPECT_THAT(ErrorOf(KeyFiles::Open({}, Write("jwks", "{}")).status()),
              AllOf(HasSubstr(PathOf("jwks")), HasSubstr("is no key set")));
}

TEST_F(KeyFilesTest, KeysOfAllFilesAreThere) {
  const test::KeyPair& rsa = test::SharedRsaKeyPair();
  const auto files = KeyFiles::Open(
      {Secret(Write("secret", secret_), "s"),
       {.path = Write("rsa", rsa.public_pem), .name = {.kid = "r", .algorithm = Algorithm::kRs256}}},
      Write("jwks",
            absl::StrCat(R"({"keys": [)", test::ToJwk(rsa, R"(, "kid": "j")"),
                         R"(, {"kty": "oct", "kid": "o", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T"}]})")));
  ASSERT_TRUE(files.ok()) << files.status();
  for (const char* const kid : {"s", "r", "j", "o"}) {
    EXPECT_TRUE((*files)->Keys()->HasKid(kid)) << kid;
  }
  EXPECT_FALSE((*files)->MayStillCome("x"));
}

TEST_F(KeyFilesTest, AChangedFileIsReadAgain) {
  const auto files = KeyFiles::Open({Secret(Write("secret", secret_))}, Write("jwks", R"({"keys": []})"));
  ASSERT_TRUE(files.ok()) << files.status();
  const std::shared_ptr<const KeySet> before = (*files)->Keys();
  EXPECT_EQ((*files)->Reload(), absl::OkStatus());
  EXPECT_EQ((*files)->Keys(), before) << "nothing changed, nothing was read";
  Write("secret", other_secret_);
  EXPECT_EQ((*files)->Reload(), absl::OkStatus());
  EXPECT_TRUE(Verifies(**files, other_secret_));
  EXPECT_FALSE(Verifies(**files, secret_));
  EXPECT_EQ(before->size(), 1U) << "who has the old set keeps it";
}

TEST_F(KeyFilesTest, AFileThatIsWrittenInPlaceIsReadAgain) {
  const std::string path = Write("secret", secret_);
  const auto files = KeyFiles::Open({Secret(path)}, "");
  ASSERT_TRUE(files.ok()) << files.status();
  std::ofstream(path, std::ios::binary) << other_secret_ << "more";
  EXPECT_EQ((*files)->Reload(), absl::OkStatus());
  EXPECT_TRUE(Verifies(**files, other_secret_ + "more"));
}

TEST_F(KeyFilesTest, ABrokenFileKeepsItsOldKeysAndIsToldOnce) {
  const std::string path = Write("secret", secret_);
  const std::string jwks = Write("jwks", R"({"keys": []})");
  const auto files = KeyFiles::Open({Secret(path)}, jwks);
  ASSERT_TRUE(files.ok()) << files.status();

  Write("secret", "short");
  Write("jwks", absl::StrCat(R"({"keys": [)", test::ToJwk(test::MakeEcKeyPair("P-384"), R"(, "kid": "j")"), "]}"));
  EXPECT_THAT(ErrorOf((*files)->Reload()), AllOf(HasSubstr(path), HasSubstr("has 5 bytes")));
  EXPECT_TRUE(Verifies(**files, secret_));
  EXPECT_TRUE((*files)->Keys()->HasKid("j")) << "the other file is taken";
  EXPECT_EQ((*files)->Reload(), absl::OkStatus());

  std::filesystem::remove(path);
  EXPECT_THAT(ErrorOf((*files)->Reload()), HasSubstr("No such file"));
  EXPECT_EQ((*files)->Reload(), absl::OkStatus());
  EXPECT_TRUE(Verifies(**files, secret_));

  Write("secret", other_secret_);
  EXPECT_EQ((*files)->Reload(), absl::OkStatus());
  EXPECT_TRUE(Verifies(**files, other_secret_));
}

}  // namespace
}  // namespace bridge::auth
