/*
 * MSI: one capability, up to 32 messages that differ in the low bits of their
 * data. PCI Local Bus 3.0, 6.8.1.
 *
 * All state is in the configuration space: mask bits and pending bits too.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "hw/pci/pci-regs.h"
#include "hw/pci/pci.h"

enum { /* offsets in the capability, with a 64-bit address */
       MSI_CONTROL = 2,
       MSI_ADDRESS = 4,
       MSI_DATA = 12,
       MSI_MASK = 16,
       MSI_PENDING = 20,
       MSI_LEN = 14,
       MSI_LEN_MASKS = 24,
};

enum { /* control */
       MSI_ENABLE = 0x0001,
       MSI_CAPABLE_SHIFT = 1,
       MSI_ALLOWED_SHIFT = 4,
       MSI_64BIT = 0x0080,
       MSI_MASKS = 0x0100,
};

static uint16_t msi_control(const PciDevice *pd)
{
    return ld_le16(pd->config + pd->msi_cap + MSI_CONTROL);
}

bool msi_enabled(const PciDevice *pd)
{
    return pd->msi_cap && (msi_control(pd) & MSI_ENABLE);
}

bool msi_init(PciDevice *pd, unsigned n, bool masks, GError **errp)
{
    unsigned cap, log2 = 0;

    g_assert(is_pow2(n) && n <= 32);
    cap = pci_add_cap(pd, PCI_CAP_MSI, masks ? MSI_LEN_MASKS : MSI_LEN, errp);
    if (!cap) {
        return false;
    }
    while (n >> log2 > 1) {
        log2++;
    }
    pd->msi_cap = cap;
    st_le16(pd->config + cap + MSI_CONTROL,
            MSI_64BIT | log2 << MSI_CAPABLE_SHIFT | (masks ? MSI_MASKS : 0));
    st_le16(pd->wmask + cap + MSI_CONTROL, MSI_ENABLE | 7 << MSI_ALLOWED_SHIFT);
    st_le64(pd->wmask + cap + MSI_ADDRESS, ~UINT64_C(3));
    st_le16(pd->wmask + cap + MSI_DATA, 0xffff);
    if (masks) {
        st_le32(pd->wmask + cap + MSI_MASK, bits_mask(n));
        st_le32(pd->dynmask + cap + MSI_PENDING, bits_mask(n));
    }
    return true;
}

/* How many messages the guest gave us; never more than we asked for. */
static unsigned msi_allowed(const PciDevice *pd)
{
    unsigned control = msi_control(pd);

    return 1u << MIN(control >> MSI_ALLOWED_SHIFT & 7,
                     control >> MSI_CAPABLE_SHIFT & 7);
}

static void msi_send(PciDevice *pd, unsigned vector)
{
    const uint8_t *cap = pd->config + pd->msi_cap;
    uint32_t data = ld_le16(cap + MSI_DATA) & ~(msi_allowed(pd) - 1);

    pci_send_msi(pd, ld_le64(cap + MSI_ADDRESS), data | vector);
}

void msi_notify(PciDevice *pd, unsigned vector)
{
    uint8_t *cap = pd->config + pd->msi_cap;

    if (!msi_enabled(pd)) {
        return;
    }
    vector &= msi_allowed(pd) - 1;
    if ((msi_control(pd) & MSI_MASKS) &&
        (ld_le32(cap + MSI_MASK) >> vector & 1)) {
        st_le32(cap + MSI_PENDING, ld_le32(cap + MSI_PENDING) | UINT32_C(1)
                                                                    << vector);
    } else {
        msi_send(pd, vector);
    }
}

/* Sends what waited for its mask bit to go. */
void msi_config_written(PciDevice *pd, unsigned off, unsigned size)
{
    uint8_t *cap = pd->config + pd->msi_cap;
    uint32_t ready;

    if (off >= pd->msi_cap + MSI_LEN_MASKS || off + size <= pd->msi_cap ||
        !msi_enabled(pd) || !(msi_control(pd) & MSI_MASKS)) {
        return;
    }
    ready = ld_le32(cap + MSI_PENDING) & ~ld_le32(cap + MSI_MASK);
    st_le32(cap + MSI_PENDING, ld_le32(cap + MSI_PENDING) & ~ready);
    for (unsigned v = 0; v < 32; v++) {
        if (ready >> v & 1) {
            msi_send(pd, v & (msi_allowed(pd) - 1));
        }
    }
}
