#pragma once

#include <bzlib.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <stdexcept>
#include <string>

#include "data/decompressor.h"

namespace mpibert::test {

// One stream (member, frame) of a format that holds the text.
inline std::string packed(Compression compression, const std::string& text) {
  std::string out(2 * text.size() + 1000, '\0');
  switch (compression) {
    case Compression::kNone:
      return text;
    case Compression::kGzip: {
      z_stream stream{};
      deflateInit2(&stream, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY);
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
      stream.avail_in = static_cast<unsigned>(text.size());
      stream.next_out = reinterpret_cast<Bytef*>(out.data());
      stream.avail_out = static_cast<unsigned>(out.size());
      if (deflate(&stream, Z_FINISH) != Z_STREAM_END) throw std::runtime_error("deflate");
      out.resize(stream.total_out);
      deflateEnd(&stream);
      return out;
    }
    case Compression::kBzip2: {
      auto size = static_cast<unsigned>(out.size());
      if (BZ2_bzBuffToBuffCompress(out.data(), &size, const_cast<char*>(text.data()), static_cast<unsigned>(text.size()), 1, 0, 0) != BZ_OK)
        throw std::runtime_error("bzip2");
      out.resize(size);
      return out;
    }
    case Compression::kZstd: {
      ZSTD_CCtx* context = ZSTD_createCCtx();
      ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);  // as the program zstd does
      const size_t size = ZSTD_compress2(context, out.data(), out.size(), text.data(), text.size());
      ZSTD_freeCCtx(context);
      if (ZSTD_isError(size) != 0) throw std::runtime_error("zstd");
      out.resize(size);
      return out;
    }
    case Compression::kXz: {
      size_t size = 0;
      if (lzma_easy_buffer_encode(1, LZMA_CHECK_CRC64, nullptr, reinterpret_cast<const uint8_t*>(text.data()), text.size(),
                                  reinterpret_cast<uint8_t*>(out.data()), &size, out.size()) != LZMA_OK)
        throw std::runtime_error("xz");
      out.resize(size);
      return out;
    }
  }
  throw std::logic_error("no such format");
}

}  // namespace mpibert::test
