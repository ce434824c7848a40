#include "bridge/auth/certificate_files.h"

#include <cstdio>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/certificates.h"
#include "tests/support/files.h"

namespace bridge::auth {
namespace {

using ::bridge::test::CertificateAuthority;
using ::bridge::test::CertificateFolder;
using ::bridge::test::ReplaceFile;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class CertificateFilesTest : public testing::Test {
 protected:
  CertificateFiles::Options Options() const {
    return {.section = "http.tls",
            .certificate_file = folder_.certificate_file(),
            .key_file = folder_.key_file(),
            .client_ca_file = folder_.ca_file()};
  }

  // What is wrong with the files now.
  std::string Wrong() const { return std::string(CertificateFiles(Options()).ReadIfChanged().status().message()); }

  const CertificateAuthority authority_;
  const test::IssuedCertificate issued_ = authority_.Issue();
  const CertificateFolder folder_{issued_, authority_};
};

TEST_F(CertificateFilesTest, AreReadOnceForEachState) {
  CertificateFiles files(Options());
  const auto first = files.ReadIfChanged();
  ASSERT_TRUE(first.ok() && first->has_value()) << first.status();
  EXPECT_EQ((*first)->chain.size(), 1U);
  EXPECT_EQ((*first)->client_roots.size(), 1U);
  EXPECT_LT((*first)->valid_from, absl::Now());
  EXPECT_GT((*first)->valid_until, absl::Now());
  const auto again = files.ReadIfChanged();
  ASSERT_TRUE(again.ok());
  EXPECT_FALSE(again->has_value());
  folder_.Replace(authority_.Issue());
  const auto changed = files.ReadIfChanged();
  ASSERT_TRUE(changed.ok());
  EXPECT_TRUE(changed->has_value());
}

TEST_F(CertificateFilesTest, TakeAChainWhoseOwnCertificateStandsFirst) {
  ReplaceFile(folder_.certificate_file(), issued_.certificate_pem + authority_.pem());
  const auto read = CertificateFiles(Options()).ReadIfChanged();
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ((*read)->chain.size(), 2U);
  ReplaceFile(folder_.certificate_file(), authority_.pem() + issued_.certificate_pem);
  EXPECT_THAT(Wrong(), AllOf(HasSubstr("http.tls.certificate_file: "), HasSubstr("stands first")));
}

TEST_F(CertificateFilesTest, SayWhatIsWrongWithEach) {
  ReplaceFile(folder_.certificate_file(), issued_.key_pem);
  EXPECT_THAT(Wrong(), AllOf(HasSubstr(absl::StrCat("http.tls.certificate_file: ", folder_.certificate_file())),
                             HasSubstr("BEGIN CERTIFICATE"), Not(HasSubstr("PRIVATE"))));
  ReplaceFile(folder_.certificate_file(), issued_.certificate_pem + issued_.certificate_pem.substr(0, 200));
  EXPECT_THAT(Wrong(), HasSubstr("its certificate 2 is damaged"));
  ReplaceFile(folder_.certificate_file(), issued_.certificate_pem);

  ReplaceFile(folder_.key_file(), issued_.certificate_pem);
  EXPECT_THAT(Wrong(), AllOf(HasSubstr("http.tls.key_file: "), HasSubstr("no private key in PEM")));
  ReplaceFile(folder_.key_file(), authority_.Issue().key_pem);
  EXPECT_THAT(Wrong(), HasSubstr("is not the key of the certificate in"));
  ReplaceFile(folder_.key_file(), issued_.key_pem);

  ReplaceFile(folder_.ca_file(), "nothing\n");
  EXPECT_THAT(Wrong(), AllOf(HasSubstr("http.tls.client_ca_file: "), HasSubstr("no certificate in PEM")));
  std::remove(folder_.ca_file().c_str());
  EXPECT_THAT(Wrong(), AllOf(HasSubstr("http.tls.client_ca_file: "), HasSubstr("cannot be read")));
}

TEST_F(CertificateFilesTest, AskNobodyForAPassphrase) {
  const BioPtr plain(BIO_new_mem_buf(issued_.key_pem.data(), static_cast<int>(issued_.key_pem.size())));
  const EvpPkeyPtr key(PEM_read_bio_PrivateKey(plain.get(), nullptr, nullptr, nullptr));
  const BioPtr encrypted(BIO_new(BIO_s_mem()));
  char passphrase[] = "secret";
  PEM_write_bio_PKCS8PrivateKey(encrypted.get(), key.get(), EVP_aes_256_cbc(), passphrase, 6, nullptr, nullptr);
  char* data = nullptr;
  const long bytes = BIO_get_mem_data(encrypted.get(), &data);
  ReplaceFile(folder_.key_file(), std::string(data, static_cast<size_t>(bytes)));
  EXPECT_THAT(Wrong(), AllOf(HasSubstr("http.tls.key_file: "), HasSubstr("is encrypted")));
}

TEST_F(CertificateFilesTest, LeaveNothingInTheErrorQueue) {
  EXPECT_EQ(Wrong(), "");
  ReplaceFile(folder_.key_file(), "nothing");
  EXPECT_NE(Wrong(), "");
  EXPECT_EQ(ERR_peek_error(), 0U);
}

TEST_F(CertificateFilesTest, AnErrorIsToldOnceAndAgainWhenTheFilesChange) {
  CertificateFiles files(Options());
  ReplaceFile(folder_.key_file(), "nothing");
  EXPECT_FALSE(files.ReadIfChanged().ok());
  const auto again = files.ReadIfChanged();
  ASSERT_TRUE(again.ok());
  EXPECT_FALSE(again->has_value());
  ReplaceFile(folder_.key_file(), issued_.key_pem);
  const auto mended = files.ReadIfChanged();
  ASSERT_TRUE(mended.ok());
  EXPECT_TRUE(mended->has_value());
}

// The key changes, then the certificate: in between the two do not belong together.
TEST_F(CertificateFilesTest, AFileThatIsGoneForAMomentIsNoLoss) {
  CertificateFiles files(Options());
  ASSERT_TRUE(files.ReadIfChanged().ok());
  std::remove(folder_.key_file().c_str());
  EXPECT_FALSE(files.ReadIfChanged().ok());
  const auto other = authority_.Issue();
  ReplaceFile(folder_.certificate_file(), other.certificate_pem);
  EXPECT_FALSE(files.ReadIfChanged().ok());
  ReplaceFile(folder_.key_file(), other.key_pem);
  const auto mended = files.ReadIfChanged();
  ASSERT_TRUE(mended.ok()) << mended.status();
  EXPECT_TRUE(mended->has_value());
}

}  // namespace
}  // namespace bridge::auth
