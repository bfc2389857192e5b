// A device plugin that tells the kubelet of GPUs that do not exist, so that scheduling and allocation are real.
//
// Usage: deviceplugin UUID...
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

const (
	resource = "nvidia.com/gpu"
	socket   = "e2e-gpus.sock"
)

// gpus serves the UUIDs of a node's GPUs, which are always healthy.
type gpus struct {
	api.UnimplementedDevicePluginServer
	uuids []string
}

func (g *gpus) GetDevicePluginOptions(context.Context, *api.Empty) (*api.DevicePluginOptions, error) {
	return &api.DevicePluginOptions{}, nil
}

// ListAndWatch sends the list once and keeps the stream open: nothing ever changes.
func (g *gpus) ListAndWatch(_ *api.Empty, stream grpc.ServerStreamingServer[api.ListAndWatchResponse]) error {
	reply := &api.ListAndWatchResponse{}
	for _, uuid := range g.uuids {
		reply.Devices = append(reply.Devices, &api.Device{ID: uuid, Health: api.Healthy})
	}
	if err := stream.Send(reply); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

// Allocate tells a container which GPUs are its own, as NVIDIA's plugin does.
func (g *gpus) Allocate(_ context.Context, request *api.AllocateRequest) (*api.AllocateResponse, error) {
	reply := &api.AllocateResponse{}
	for _, container := range request.ContainerRequests {
		env := map[string]string{
			"NVIDIA_VISIBLE_DEVICES": strings.Join(container.DevicesIds, ","),
			"CUDA_VISIBLE_DEVICES":   strings.Join(container.DevicesIds, ","),
			"STUB_CUDA_GPUS":         shown(container.DevicesIds),
		}
		reply.ContainerResponses = append(reply.ContainerResponses, &api.ContainerAllocateResponse{Envs: env})
	}
	return reply, nil
}

// shown is what the stand-in for the driver is told: these GPUs, each at an address of its own.
func shown(uuids []string) string {
	gpus := make([]string, len(uuids))
	for number, uuid := range uuids {
		gpus[number] = fmt.Sprintf("%s@0000:%02x:00", uuid, number+1)
	}
	return strings.Join(gpus, ",")
}

// serve registers with the kubelet and returns when that one has restarted, which it shows by removing our socket.
func serve(uuids []string) error {
	path := filepath.Join(api.DevicePluginPath, socket)
	os.Remove(path)
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	api.RegisterDevicePluginServer(server, &gpus{uuids: uuids})
	defer server.Stop()
	go server.Serve(listener)
	if err := register(); err != nil {
		return err
	}
	log.Printf("registered %d GPUs", len(uuids))
	for {
		time.Sleep(500 * time.Millisecond)
		if _, err := os.Stat(path); err != nil {
			return err
		}
	}
}

func register() error {
	connection, err := grpc.NewClient("unix://"+api.KubeletSocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	deadline, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	request := &api.RegisterRequest{Version: api.Version, Endpoint: socket, ResourceName: resource}
	_, err = api.NewRegistrationClient(connection).Register(deadline, request)
	return err
}

func main() {
	for {
		log.Print(serve(os.Args[1:]))
		time.Sleep(time.Second)
	}
}
