/*
 * The host as KVM's start sees it, so that a test can be one that is not here:
 * without the module, without VT-x, with an old kernel.
 */
#ifndef ACCEL_KVM_HOST_H
#define ACCEL_KVM_HOST_H

#include "accel/kvm/kvm.h"

#define KVM_NODE "/dev/kvm"

typedef struct KvmHost {
    int (*open)(const char *path, int flags); /* -1 and errno */
    int (*ioctl)(int fd, unsigned long request, void *arg);
    void (*cpuid)(uint32_t leaf, uint32_t out[4]);    /* EAX EBX ECX EDX */
    bool (*read_file)(const char *path, char **text); /* of /proc */
} KvmHost;

extern const KvmHost kvm_real_host; /* open.c */

/* What CPUID says. */
typedef struct KvmHostCpu {
    char vendor[13];
    bool vmx, svm, hypervisor;
    char hypervisor_id[13];
} KvmHostCpu;

void kvm_host_cpu(const KvmHost *host, KvmHostCpu *h);
/* Is everything there that cannot be missed? */
bool kvm_host_check_caps(const KvmHost *host, int vm, GError **errp);
/* kvm_host_open() and kvm_host_report() of that host. */
bool kvm_host_open_of(const KvmHost *host, const char *path, int *fd, int *vm,
                      GError **errp);
void kvm_host_report_of(const KvmHost *host, const char *path, GString *out);

#endif
