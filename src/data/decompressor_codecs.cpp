#include <bzlib.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "data/decompressor.h"
#include "mpibert/base/error.h"

namespace mpibert {

namespace {

constexpr uint64_t kXzMemory = uint64_t{512} << 20;  // xz -9 asks for 65 MiB
constexpr int kGzipOnly = 16;                        // zlib: added to the bits of the window

[[noreturn]] void out_of_memory(std::string_view library) {
  throw Error(ErrorKind::kOutOfMemory, str_cat(library, " got no memory to decompress"));
}
unsigned size_for(size_t bytes) { return static_cast<unsigned>(std::min<size_t>(bytes, std::numeric_limits<int>::max())); }

class GzipCodec : public Codec {
 public:
  GzipCodec() {
    if (inflateInit2(&stream_, MAX_WBITS + kGzipOnly) != Z_OK) out_of_memory("zlib");
  }
  ~GzipCodec() override { inflateEnd(&stream_); }
  GzipCodec(const GzipCodec&) = delete;
  GzipCodec& operator=(const GzipCodec&) = delete;
  void restart() override { inflateReset(&stream_); }
  Step step(std::span<const char> in, std::span<char> out) override {
    // zlib takes the input as bytes that it might change, and does not.
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
    stream_.avail_in = size_for(in.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = size_for(out.size());
    const unsigned given_in = stream_.avail_in, given_out = stream_.avail_out;
    const int code = inflate(&stream_, Z_NO_FLUSH);
    if (code == Z_MEM_ERROR) out_of_memory("zlib");
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
      throw DamagedStream(stream_.msg != nullptr ? stream_.msg : "wrong data");
    return {.used = given_in - stream_.avail_in, .made = given_out - stream_.avail_out, .ended = code == Z_STREAM_END};
  }

 private:
  z_stream stream_{};
};

class Bzip2Codec : public Codec {
 public:
  ~Bzip2Codec() override { BZ2_bzDecompressEnd(&stream_); }
  Bzip2Codec() = default;
  Bzip2Codec(const Bzip2Codec&) = delete;
  Bzip2Codec& operator=(const Bzip2Codec&) = delete;
  void restart() override {
    BZ2_bzDecompressEnd(&stream_);
    stream_ = {};
    if (BZ2_bzDecompressInit(&stream_, 0, 0) != BZ_OK) out_of_memory("bzip2");
  }
  Step step(std::span<const char> in, std::span<char> out) override {
    stream_.next_in = const_cast<char*>(in.data());
    stream_.avail_in = size_for(in.size());
    stream_.next_out = out.data();
    stream_.avail_out = size_for(out.size());
    const unsigned given_in = stream_.avail_in, given_out = stream_.avail_out;
    const int code = BZ2_bzDecompress(&stream_);
    if (code == BZ_MEM_ERROR) out_of_memory("bzip2");
    if (code != BZ_OK && code != BZ_STREAM_END)
      throw DamagedStream(code == BZ_DATA_ERROR ? "wrong data or checksum" : "no block begins where one should");
    return {.used = given_in - stream_.avail_in, .made = given_out - stream_.avail_out, .ended = code == BZ_STREAM_END};
  }

 private:
  bz_stream stream_{};
};

class ZstdCodec : public Codec {
 public:
  ZstdCodec() : context_(ZSTD_createDCtx()) {
    if (context_ == nullptr) out_of_memory("zstd");
  }
  ~ZstdCodec() override { ZSTD_freeDCtx(context_); }
  ZstdCodec(const ZstdCodec&) = delete;
  ZstdCodec& operator=(const ZstdCodec&) = delete;
  void restart() override { ZSTD_DCtx_reset(context_, ZSTD_reset_session_only); }
  Step step(std::span<const char> in, std::span<char> out) override {
    ZSTD_inBuffer input{.src = in.data(), .size = in.size(), .pos = 0};
    ZSTD_outBuffer output{.dst = out.data(), .size = out.size(), .pos = 0};
    const size_t code = ZSTD_decompressStream(context_, &output, &input);
    if (ZSTD_isError(code) != 0) throw DamagedStream(ZSTD_getErrorName(code));
    return {.used = input.pos, .made = output.pos, .ended = code == 0};
  }

 private:
  ZSTD_DCtx* context_;
};

class XzCodec : public Codec {
 public:
  ~XzCodec() override { lzma_end(&stream_); }
  XzCodec() = default;
  XzCodec(const XzCodec&) = delete;
  XzCodec& operator=(const XzCodec&) = delete;
  void restart() override {
    if (lzma_stream_decoder(&stream_, kXzMemory, LZMA_TELL_UNSUPPORTED_CHECK) != LZMA_OK) out_of_memory("xz");
  }
  Step step(std::span<const char> in, std::span<char> out) override {
    stream_.next_in = reinterpret_cast<const uint8_t*>(in.data());
    stream_.avail_in = in.size();
    stream_.next_out = reinterpret_cast<uint8_t*>(out.data());
    stream_.avail_out = out.size();
    const lzma_ret code = lzma_code(&stream_, LZMA_RUN);
    if (code == LZMA_MEM_ERROR) out_of_memory("xz");
    if (code == LZMA_MEMLIMIT_ERROR) throw DamagedStream("it asks for more than 512 MiB of memory; unpack it with xz");
    if (code != LZMA_OK && code != LZMA_STREAM_END && code != LZMA_BUF_ERROR)
      throw DamagedStream(code == LZMA_UNSUPPORTED_CHECK || code == LZMA_OPTIONS_ERROR ? "it uses a feature that liblzma lacks"
                                                                                       : "wrong data or checksum");
    return {.used = in.size() - stream_.avail_in, .made = out.size() - stream_.avail_out, .ended = code == LZMA_STREAM_END};
  }

 private:
  lzma_stream stream_ = LZMA_STREAM_INIT;
};

}  // namespace

std::unique_ptr<Codec> make_codec(Compression compression) {
  switch (compression) {
    case Compression::kGzip:
      return std::make_unique<GzipCodec>();
    case Compression::kBzip2:
      return std::make_unique<Bzip2Codec>();
    case Compression::kZstd:
      return std::make_unique<ZstdCodec>();
    case Compression::kXz:
      return std::make_unique<XzCodec>();
    case Compression::kNone:
      break;
  }
  throw std::logic_error("no codec of this format");
}

}  // namespace mpibert
